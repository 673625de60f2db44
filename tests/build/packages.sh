#!/usr/bin/env bash
# tags: [unit] [build]
# Every header that our sources take from the system belongs to a package that ./oncekit installs and docs/build.md names.
set -euo pipefail
tree=$1; cd "$tree"
command -v dpkg >/dev/null || { echo "no dpkg here"; exit 77; }

known=" libc6-dev linux-libc-dev $(sed -n '/^libraries="/,/"$/p' oncekit | tr -d '"' | sed 's/^libraries=//' | tr '\n' ' ') "
count=0
while read -r header; do
  file=/usr/include/$header
  [ -e "$file" ] || file=/usr/include/$(gcc -print-multiarch)/$header
  [ -e "$file" ] || continue   # the compiler's own, or LibTorch's
  owners=$(dpkg -S "$(readlink -f "$file")" 2>/dev/null | sed 's/:.*//' | tr -d ',') || true
  found=no
  for owner in $owners; do
    # The headers of a -dev package may lie in its versioned sister: libboost-dev and libboost1.74-dev.
    if [[ $known == *" $owner "* || $known == *" ${owner/[0-9].[0-9][0-9]-dev/-dev} "* ]]; then found=yes; fi
  done
  if [ $found = no ]; then echo "<$header> is of package ${owners:-(unknown)}, which ./oncekit does not install"; exit 1; fi
  count=$((count + 1))
done < <(grep -rhoE '^#include <[a-zA-Z0-9_+./-]+>' core plugins tests bench --include=*.cpp --include=*.h | sed 's/.*<\(.*\)>/\1/' | sort -u)
for name in $known; do
  case $name in libc6-dev | linux-libc-dev) continue ;; esac
  grep -qw -- "$name" docs/build.md || { echo "docs/build.md does not name $name"; exit 1; }
done
echo "$count system headers, all of packages that ./oncekit installs"
