FROM base
CMD ["/usr/lib/gantry/dist/build-service/main.mjs"]
