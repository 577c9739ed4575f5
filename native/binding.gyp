{
  "targets": [
    {
      "target_name": "gantry",
      "sources": [
        "src/addon.cc",
        "<!@(ls src/addon/*.cc)",
        "src/kernel/carrier.cc",
        "src/kernel/conntrack.cc",
        "src/kernel/container_links.cc",
        "src/kernel/copy_files.cc",
        "src/kernel/http_body.cc",
        "src/kernel/in_root.cc",
        "src/kernel/ip_prefix.cc",
        "src/kernel/links.cc",
        "src/kernel/mount.cc",
        "src/kernel/nft_elements.cc",
        "src/kernel/nft_watch.cc",
        "src/kernel/overlay_mount.cc",
        "src/kernel/process.cc",
        "src/kernel/remove_tree.cc",
        "src/kernel/rtnetlink.cc",
        "src/kernel/seccomp_compile.cc",
        "src/kernel/socket.cc"
      ],
      "include_dirs": ["src", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "_GNU_SOURCE"
      ],
      "libraries": ["-lseccomp"],
      "cflags": ["-fvisibility=hidden", "-fstack-protector-strong"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++20", "-std=gnu++17"],
      "cflags_cc": ["-std=c++20", "-fexceptions", "-Wall", "-Wextra", "-Werror"]
    }
  ]
}
