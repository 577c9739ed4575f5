import { sh } from "./unpack-program.ts";

/** A tree with one of everything that an archive can hold. */
export function makeRichTree(directory: string): void {
  const long = "n".repeat(120);
  sh(
    `umask 0
     mkdir -m 0755 a a/b 'sp ace' && mkdir -m 2775 sgid && mkdir -m 1777 tmp
     printf hello > a/f && chmod 0640 a/f && chown 1000:2000 a/f
     head -c 300000 /dev/urandom > a/b/big
     printf x > setuid && chown 7:8 setuid && chmod 4755 setuid && printf y > sgid/file && chmod 2711 sgid/file
     ln a/f hard1 && ln a/f a/b/hard2 && ln -s ../outside link && ln -s /etc/passwd abslink && ln -s f a/rel
     mknod dev-c c 1 3 && mknod dev-b b 259 70000 && mkfifo -m 0622 pipe && chmod 0666 dev-c
     mkdir ${long} && mkdir ${long}/${long} && printf deep > ${long}/${long}/${long}
     ln -s ${long}/${long}/${long} longlink && ln ${long}/${long}/${long} longhard
     truncate -s 10M sparse && printf middle | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none && truncate -s 1M hole
     setfattr -n user.note -v 'some value' a/f; setfattr -n trusted.kept -v 0x000102 a/b/big
     cp /bin/true capable; setcap cap_net_raw+ep capable
     printf big-ids > ids && chown 3000000:4000000000 ids
     printf '' > empty && printf utf > 'nämé'
     touch -d '2001-02-03 04:05:06.123456789' a/f && touch -d '1999-12-31 23:59:59.5' a/b && touch -h -d '2010-01-01' link
     touch -d '2005-05-05 05:05:05.000000001' .`,
    directory,
  );
}
