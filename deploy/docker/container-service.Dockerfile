FROM base
CMD ["/usr/lib/gantry/dist/container-service/main.mjs"]
