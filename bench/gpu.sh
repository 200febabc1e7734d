#!/usr/bin/env bash
# gpu.sh [--cpu]: what only a machine with a GPU can tell, in at most eight minutes and without network: the tests marked gpu
# (no waits in a step, resuming, memory that comes back, NCCL, TensorRT where it is installed), a step and the memory of every
# method, degradations, enhancers, loading. Writes one page, runs/gpu/gpu.md.
# --cpu: the same at toy size, to see that it runs to its end. PARTS="step memory": these parts again, the others stay. WHEELS=FOLDER: install from these wheels first, where .venv is missing.
set -uo pipefail
cd "$(dirname "$0")/.."
export YOLO_OFFLINE=true HF_HUB_OFFLINE=1
if [ ! -x .venv/bin/python ] && [ -n "${WHEELS:-}" ]; then
  python3 -m venv .venv && .venv/bin/python -m pip install --no-index --find-links "$WHEELS" -r requirements.txt || exit 1
fi
python=${PYTHON:-.venv/bin/python}
out=${OUT:-runs/gpu}
mkdir -p "$out"
[ -n "${PARTS:-}" ] || rm -f "$out"/*.md "$out"/*.part
tests=(-m gpu tests/accelerator/case_methods.py tests/accelerator/test_training.py tests/data/test_degrade.py tests/engine/inference/backends/test_load.py)
exports=(-m gpu tests/engine/exporters/test_detector.py)
methods=(none wiid rfla aeris richsem "longtail federated=2" "weather weather=street" "wiid method=wiid+rfla")
kept=(none wiid aeris) all=(tests exports step memory degradations enhancers loading)
if [ "${1:-}" = --cpu ]; then
  device=cpu model=(--cfg yolov5n --imgsz 64 --batch-size 2) rounds=1 degraded=(--size 64 --batch 2 --few 1)
  tests=(-m "not gpu" tests/accelerator/test_training.py) exports=(-m "not gpu" -k ultralytics_runs tests/engine/exporters/test_detector.py)
  methods=(none wiid) kept=(none) slow=60
else
  device=0 model=(--cfg yolov5m --imgsz 608 --batch-size 16) rounds=10 degraded=(--size 608 --batch 16 --few 4) slow=1
fi

part() { # part SECONDS NAME COMMAND...: one that fails or takes too long does not end the others
  local seconds=$1 name=$2 began=$SECONDS
  shift 2
  [[ -z ${PARTS:-} || " $PARTS " == *" $name "* ]] || return 0
  echo "== $name"
  rm -f "$out/$name.md"
  timeout $((seconds * slow)) "$@" >"$out/$name.log" 2>&1
  local code=$?
  tail -n 3 "$out/$name.log"
  echo "| $name | $([ $code = 0 ] && echo done || echo "failed ($code)") | $((SECONDS - began)) |" >"$out/$name.part"
}

part 140 tests "$python" -m pytest -q -rs -p no:cacheprovider "${tests[@]}"
part 50 exports "$python" -m pytest -q -rs -p no:cacheprovider "${exports[@]}"
part 110 step "$python" -m bench.speed.training_step "${model[@]}" --device "$device" --rounds "$rounds" --parts step --runs "${methods[@]}" --out "$out/step.md"
part 80 memory "$python" -m bench.speed.training_step "${model[@]}" --device "$device" --parts memory --runs "${kept[@]}" --out "$out/memory.md"
part 50 degradations "$python" -m bench.speed.degradations "${degraded[@]}" --device "$device" --rounds "$rounds" --out "$out/degradations.md"
part 25 enhancers "$python" -m bench.speed.enhancers --device "$device" --rounds "$rounds" --out "$out/enhancers.md"
part 25 loading "$python" -m bench.speed.training_step "${model[@]}" --device cpu --rounds "$rounds" --parts loading --out "$out/loading.md"
{
  echo "# Measured on this machine"
  echo
  echo "| part | result | seconds |"
  echo "| --- | --- | --- |"
  for name in "${all[@]}"; do [ ! -f "$out/$name.part" ] || cat "$out/$name.part"; done
  for name in "${all[@]}"; do [ ! -f "$out/$name.md" ] || { echo; sed 's/^# /## /' "$out/$name.md"; }; done
} >"$out/gpu.md"
echo "written: $out/gpu.md"
! grep -q failed "$out"/*.part
