#!/usr/bin/env bash
# tags: [unit] [build]
# Reads the compiler's own dependency files: torch::nn (10 s a file) is for core/kernels, core/lm, core/model, core/score, core/train and plugins with
# model components. Any other room that reaches torch/csrc fails, and is named with the file that does.
set -euo pipefail
tree=$1 build=$2

deps=$(ninja -C "$build" -t deps)
rooms=$(grep -oE '^core/CMakeFiles/oncekit_[a-z]+\.dir' <<<"$deps" | sort -u | wc -l)
[ "$rooms" -ge 5 ] || { echo "only $rooms rooms in ninja's dependency log; was the core built?"; exit 1; }

tier0=$(grep -lw TIER0 "$tree"/plugins/*/CMakeLists.txt 2>/dev/null | xargs -r -n1 dirname | xargs -r -n1 basename || true)
bad=$(awk -v tier0=" $(echo $tier0) " '
  /^[^ ]/ {
    object = $1; sub(/:$/, "", object); watched = 0
    if (match(object, /^core\/CMakeFiles\/oncekit_[a-z]+\.dir\//)) {
      room = object; sub(/^core\/CMakeFiles\/oncekit_/, "", room); sub(/\.dir\/.*/, "", room)
      watched = room !~ /^(kernels|model|score|train|lm|torch_pch|core)$/
    } else if (match(object, /^plugins\/[^\/]+\//)) {
      split(object, part, "/"); watched = index(tier0, " " part[2] " ") > 0
    }
  }
  /^ / && watched && /\/torch\/csrc\// && !(object in seen) { seen[object] = 1; print "  " object " includes " $1 }' <<<"$deps")
if [ -n "$bad" ]; then
  echo "torch/csrc belongs to core/kernels, core/lm, core/model, core/score, core/train and model plugins alone (DESIGN 2, header tiers), but:"
  echo "$bad"
  exit 1
fi

# The same for the SDK's own headers: these are tier 0, and include the standard library and ATen/core/Tensor.h at most.
for name in augmenter corpus dataset error log options plugin registrar rng text version workspace; do
  header=$tree/core/include/oncekit/$name.h
  if grep -nE '#include *[<"](torch|c10|caffe2|ATen)/' "$header" | grep -v 'ATen/core/Tensor.h' ||
    grep -nE '#include "oncekit/(model|nn|word_embedding|test_kit)\.h"' "$header"; then
    echo "$header: a tier-0 header includes more of torch than ATen/core/Tensor.h"; exit 1
  fi
done
if grep -rnE '#include *[<"]torch/(torch|extension|all)\.h' "$tree"/core "$tree"/plugins "$tree"/tests "$tree"/bench --include=*.h --include=*.cpp; then
  echo "torch/torch.h costs 18 s a file: include the module headers that are used"; exit 1
fi
if grep -rnE '#include *[<"]spdlog/' "$tree"/core "$tree"/plugins --include=*.h --include=*.cpp | grep -v '/core/base/log.cpp:'; then
  echo "spdlog lives in core/base/log.cpp, behind oncekit/log.h"; exit 1
fi
echo "$rooms rooms hold to their tier"
