#!/usr/bin/env bash
# The queue of jobs for a GPU machine: `bash benchmarks/gpu.sh JOB`, results under $OUT (default out/gpu).
# Each job runs alone and ends in under nine minutes there; JOB=dry runs all of them on a processor, tiny.
# The project runs from source; wheels of what the machine lacks (av, jsonargparse) lie in .carry/wheels.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-out/gpu}
KEEP=${KEEP:-$HOME/vid2vid-gpu} # checkpoints and data stay here between calls
mkdir -p "$OUT" "$KEEP"
if compgen -G '.carry/wheels/*.whl' >/dev/null; then
    python3 -m pip install -q --no-index --no-deps --upgrade --target "$KEEP/site" .carry/wheels/*.whl
    export PYTHONPATH="$KEEP/site"
fi
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
run() { python3 -m vid2vid "$@"; }

speed() { # the published network, plain against bf16 and compiled
    python3 benchmarks/speed.py --recipe paper --sizes 512x256 1024x512 2048x1024 --out "$OUT/speed.json"
}
real_time() { # label PNGs in, mp4 out at 2048x1024: the published network and the fast one, plain float32 beside
    local recipe
    for recipe in ${RECIPES:-paper-2048 fast-2048}; do
        run bench --recipe "$recipe" --sizes ${SIZES:-2048x1024} --frames "${BENCH_FRAMES:-60}" --out "$OUT/$recipe"
    done
}
data() { # forty streets of the synthetic city at 512x256
    [ -d "$KEEP/city" ] || run prepare $(seq -f 'city:%g' 11 "${SEEDS:-50}") --frames "${FRAMES:-60}" --size 512x256 --out "$KEEP/city"
}
data_large() { # the same at 1024x512
    [ -d "$KEEP/city-large" ] || run prepare $(seq -f 'city:%g' 11 "${SEEDS_LARGE:-30}") --frames "${FRAMES:-60}" --size "${LARGE:-1024x512}" --out "$KEEP/city-large"
}
step() { # a training step: the plain procedure against ours, in all precisions
    python3 benchmarks/step_time.py --variants float32 bfloat16 compiled "compiled bfloat16" --device auto --out "$OUT/step_time.json"
}
precision() { # losses and memory of a training in bfloat16 against float32 and the estimate
    data
    python3 benchmarks/precision.py "$KEEP/city" --recipe "${RECIPE:-paper-512}" --steps "${STEPS:-300}" \
        --out "$OUT/precision.json" data.workers="${WORKERS:-8}" ${WORDS:-}
}
train_city() { # the bundled model: call again to go on; stops itself in time, and saves
    data
    timeout --signal=INT --kill-after=60 "${SECONDS_A_CALL:-420}" \
        python3 -m vid2vid train "$KEEP/city" --recipe city-tiny --out "$KEEP/runs/city" \
        train.steps="${STEPS:-20000}" data.workers="${WORKERS:-8}" train.keep=1 || [ $? -eq 124 ] # out of time: it has saved
    cp "$(ls -d "$KEEP"/runs/city/checkpoints/step-* | sort -V | tail -1)"/{config.json,generator.safetensors,README.md} "$OUT/"
    cp "$(ls "$KEEP"/runs/city/samples/*.mp4 2>/dev/null | tail -1)" "$OUT/" || true
}
train_fine() { # coarse to fine up to 1024x512 in three stages, each from the last: call again to go on
    data_large
    local before="" scales size large=${LARGE:-1024x512}
    for scales in 1 2 3; do
        size=$((${large%x*} >> (3 - scales))),$((${large#*x} >> (3 - scales)))
        timeout --signal=INT --kill-after=60 "${SECONDS_A_CALL:-420}" \
            python3 -m vid2vid train "$KEEP/city-large" --recipe city-fine --out "$KEEP/runs/fine-$scales" $before \
            data.size="[$size]" model.scales=$scales model.width="${WIDTH:-64}" discriminator.width="${WIDTH:-64}" \
            train.steps="${STEPS_A_STAGE:-6000}" data.workers="${WORKERS:-8}" train.keep=1 || { [ $? -eq 124 ]; return; }
        before="--start-from $KEEP/runs/fine-$scales"
    done
    cp "$(ls -d "$KEEP"/runs/fine-3/checkpoints/step-* | sort -V | tail -1)"/{config.json,generator.safetensors} "$OUT/"
    cp "$(ls "$KEEP"/runs/fine-3/samples/*.mp4 | tail -1)" "$OUT/fine.mp4"
}
train_forecast() { # the forecaster with its discriminators, scored on unseen streets: call again to go on
    data
    [ -d "$KEEP/unseen" ] || run prepare city:200 city:201 city:202 city:203 --frames 24 --size 512x256 --out "$KEEP/unseen"
    timeout --signal=INT --kill-after=60 "${SECONDS_A_CALL:-420}" \
        python3 -m vid2vid train "$KEEP/city" --recipe forecast --out "$KEEP/runs/forecast" data.size=[512,256] \
        train.steps="${STEPS:-20000}" data.workers="${WORKERS:-8}" train.keep=1 ${FORECAST_WORDS:-} || [ $? -eq 124 ]
    run predict "$KEEP/runs/forecast" city "$KEEP/unseen" --score --every 10 --frames 10 --lpips none --out "$OUT/forecast"
}
dry() { # every job on the processor, tiny: what can go wrong there goes wrong here
    export KEEP="$OUT/keep" SEEDS=12 SEEDS_LARGE=12 LARGE=256x128 FRAMES=12 SECONDS_A_CALL=120 STEPS=4 WORKERS=1
    python3 benchmarks/speed.py --recipe street-tiny --sizes 128x64 --variants float32 bf16 --frames 2 --device cpu
    python3 benchmarks/step_time.py --help >/dev/null
    RECIPES=fast-256 SIZES=128x64 BENCH_FRAMES=3 real_time
    RECIPE=city-tiny WORDS="data.crop=[64,32]" precision
    train_city
    STEPS_A_STAGE=2 WIDTH=8 train_fine
    FORECAST_WORDS="data.size=[64,32] data.sequence=8 model.width=8 discriminator.width=8 train.rollout=2" train_forecast
}
case "${1:-}" in
speed | real_time | step | precision | data | data_large | train_city | train_fine | train_forecast | dry) "$1" ;;
*) sed -n 's/^\([a-z_]*\)() { # /  \1: /p' "$0" ;;
esac
