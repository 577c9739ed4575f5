/** System calls of the default seccomp profile, by what they are for. Those of other architectures do no harm. */

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

/** Allowed for every container. */
export const ordinaryCalls: readonly string[] = words(`
  read write readv writev pread64 pwrite64 preadv preadv2 pwritev pwritev2 lseek _llseek readahead
  open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2 fcntl fcntl64 ioctl flock
  select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
  eventfd eventfd2 signalfd signalfd4
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
  stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64
  statmount listmount name_to_handle_at
  access faccessat faccessat2 chdir fchdir getcwd umask
  chmod fchmod fchmodat fchmodat2 chown chown32 lchown lchown32 fchown fchown32 fchownat
  mkdir mkdirat rmdir mknod mknodat link linkat symlink symlinkat readlink readlinkat
  unlink unlinkat rename renameat renameat2
  truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 arm_fadvise64_64
  getdents getdents64 copy_file_range sendfile sendfile64 splice tee vmsplice
  sync syncfs fsync fdatasync sync_file_range sync_file_range2 arm_sync_file_range
  utime utimes utimensat utimensat_time64 futimesat
  getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
  listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64

  brk mmap mmap2 munmap mremap mprotect msync madvise mincore remap_file_pages mseal
  mlock mlock2 mlockall munlock munlockall membarrier memfd_create memfd_secret cachestat
  pkey_alloc pkey_free pkey_mprotect map_shadow_stack process_mrelease

  accept accept4 bind connect listen shutdown socketpair getsockname getpeername getsockopt setsockopt
  send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64

  fork vfork execve execveat exit exit_group wait4 waitid waitpid
  getpid getppid gettid getpgid getpgrp setpgid getsid setsid
  pidfd_open pidfd_send_signal kill tkill tgkill
  rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn pause restart_syscall
  process_vm_readv process_vm_writev ptrace prctl seccomp uretprobe
  landlock_create_ruleset landlock_add_rule landlock_restrict_self
  arch_prctl modify_ldt get_thread_area set_thread_area set_tls breakpoint cacheflush riscv_hwprobe
  set_tid_address get_robust_list set_robust_list rseq
  futex futex_time64 futex_wait futex_wake futex_waitv futex_requeue

  getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32
  getresuid getresuid32 getresgid getresgid32 getgroups getgroups32
  setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32
  setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32
  setgroups setgroups32 capget capset

  sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
  sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
  sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set getcpu
  getrlimit setrlimit ugetrlimit prlimit64 getrusage sysinfo uname getrandom

  time times gettimeofday adjtimex clock_adjtime clock_adjtime64
  clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64
  nanosleep alarm getitimer setitimer
  timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
  timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64

  ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64
  shmat shmctl shmdt shmget
  mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive mq_timedreceive_time64
  mq_timedsend mq_timedsend_time64
`);

/** Allowed besides with a capability: those that the kernel itself asks it for. */
export const callsByCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: words("open_by_handle_at"),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr
    move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname
    setns syslog umount umount2 unshare lsm_get_self_attr lsm_set_self_attr lsm_list_modules
  `),
  CAP_SYS_BOOT: words("reboot"),
  CAP_SYS_CHROOT: words("chroot"),
  CAP_SYS_MODULE: words("init_module finit_module delete_module"),
  CAP_SYS_PACCT: words("acct"),
  CAP_SYS_PTRACE: words("kcmp pidfd_getfd process_madvise"),
  CAP_SYS_RAWIO: words("iopl ioperm"),
  CAP_SYS_TIME: words("settimeofday stime clock_settime clock_settime64"),
  CAP_SYS_TTY_CONFIG: words("vhangup"),
  CAP_SYS_NICE: words("get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
  CAP_SYSLOG: words("syslog"),
  CAP_BPF: words("bpf"),
  CAP_PERFMON: words("perf_event_open"),
};
