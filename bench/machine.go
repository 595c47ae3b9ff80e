package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// cpuTime is what the machine did with its CPUs so far, in seconds.
type cpuTime struct{ all, stolen float64 }

func machineTime() (cpuTime, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return cpuTime{}, fmt.Errorf("reading /proc: %w", err)
	}
	stat, err := fs.Stat()
	if err != nil {
		return cpuTime{}, fmt.Errorf("reading /proc/stat: %w", err)
	}
	t := stat.CPUTotal
	return cpuTime{all: t.User + t.Nice + t.System + t.Idle + t.Iowait + t.IRQ + t.SoftIRQ + t.Steal, stolen: t.Steal}, nil
}

// stolenSince returns which share of the CPU time since then other machines had.
func (t cpuTime) stolenSince(before cpuTime) float64 {
	if t.all <= before.all {
		return 0
	}
	return (t.stolen - before.stolen) / (t.all - before.all)
}

// cpuOf returns the CPU seconds of one process so far, in steps of the kernel's tick, 10 ms.
func cpuOf(pid int) (float64, error) {
	stat, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	return stat.CPUTime(), nil
}

// cpuOfPostgres returns the CPU seconds of a server so far: the postmaster's, its processes', and those of its
// processes that have ended.
func cpuOfPostgres(dataDir string) (float64, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid")) //nolint:gosec // our own server's
	if err != nil {
		return 0, fmt.Errorf("reading the number of Postgres's process: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("reading the number of Postgres's process: %w", err)
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("reading /proc: %w", err)
	}
	var seconds float64
	for _, p := range all {
		stat, err := p.Stat()
		switch {
		case err != nil: // it has ended meanwhile
		case p.PID == postmaster:
			seconds += stat.CPUTime() + float64(stat.CUTime+stat.CSTime)/ticks
		case stat.PPID == postmaster:
			seconds += stat.CPUTime()
		}
	}
	return seconds, nil
}

// ticks a second are what /proc counts in; USER_HZ is 100 on every Linux (proc(5)).
const ticks = 100

// peakMemory returns the most MiB that a process has had resident.
func peakMemory(pid int) (float64, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("reading /proc: %w", err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("reading the memory of a process: %w", err)
	}
	return float64(status.VmHWM) / (1 << 20), nil
}

// memory returns how many MiB a process has resident now.
func memory(pid int) (float64, error) {
	stat, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	return float64(stat.ResidentMemory()) / (1 << 20), nil
}

func statOf(pid int) (procfs.ProcStat, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, fmt.Errorf("reading /proc: %w", err)
	}
	stat, err := p.Stat()
	if err != nil {
		return stat, fmt.Errorf("reading the CPU time of a process: %w", err)
	}
	return stat, nil
}
