FROM base
CMD ["/usr/lib/gantry/dist/image-service/main.mjs"]
