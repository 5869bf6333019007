#!/usr/bin/env bash
# Installs Slurm on this Debian machine and starts a cluster of one node. Needs root.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
  echo "error: make slurm installs packages and starts daemons: run it as root"
  exit 2
fi
if scontrol ping 2>/dev/null | grep -q "is UP" && sinfo -h -o %T | grep -qE "idle|mixed|allocated"; then
  echo "Slurm is running: $(sinfo -h -o '%n with %c CPUs, %T')"
  exit 0
fi
if [ -e /etc/slurm/slurm.conf ] && ! grep -q "^ClusterName=one$" /etc/slurm/slurm.conf; then
  echo "error: /etc/slurm/slurm.conf is another cluster's: it is left as it is"
  exit 2
fi
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
  echo "installing slurm-wlm and munge"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends slurm-wlm munge >/dev/null
fi

memory_mb=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/slurm /run/munge
cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ReturnToService=2
JobRequeue=1
KillWait=15
OverTimeLimit=0
SchedulerParameters=sched_interval=2,sched_min_interval=500000,batch_sched_delay=1
GresTypes=gpu
NodeName=localhost CPUs=$(nproc) RealMemory=$memory_mb Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
CONF
echo "NodeName=localhost Name=gpu File=/dev/null Count=1" > /etc/slurm/gres.conf
rm -f /etc/slurm/cgroup.conf

if [ ! -s /etc/munge/munge.key ]; then
  dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
fi
chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
pgrep -x -r R,S,D munged >/dev/null || setpriv --reuid=munge --regid=munge --clear-groups munged
pgrep -x -r R,S,D slurmctld >/dev/null || slurmctld
# A container may have no cgroups to offer; older versions do not know how to do without.
pgrep -x -r R,S,D slurmd >/dev/null || slurmd -N localhost || {
  echo "CgroupPlugin=disabled" > /etc/slurm/cgroup.conf
  slurmd -N localhost
}

for _ in $(seq 30); do
  if sinfo -h -o %T 2>/dev/null | grep -qE "idle|mixed|allocated"; then
    sinfo
    timeout 60 srun -n1 true || { echo "error: the node runs no job; see /var/log/slurm/"; exit 1; }
    exit 0
  fi
  sleep 1
done
echo "error: the node did not come up; see /var/log/slurm/"
tail -n 5 /var/log/slurm/*.log
exit 1
