//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine says where and when something was measured.
type machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Date   string `json:"date"`
}

// thisMachine describes the machine that this program runs on.
func thisMachine(now time.Time) machine {
	m := machine{
		Cores: runtime.NumCPU(), CPU: "unknown processor", Kernel: "unknown kernel",
		Go: runtime.Version(), Date: now.UTC().Format(time.DateOnly),
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := cpuModel(text); name != "" {
			m.CPU = name
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + string(bytes.TrimSpace(text))
	}
	return m
}

// cpuModel finds the name of the processor in /proc/cpuinfo. Not every architecture
// states one.
func cpuModel(cpuinfo []byte) string {
	for line := range strings.Lines(string(cpuinfo)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == "model name" {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

// String is the line below the tables.
func (m machine) String() string {
	cores := fmt.Sprintf("%d cores", m.Cores)
	if m.Cores == 1 {
		cores = "1 core"
	}
	return fmt.Sprintf("Machine: %s, %s, %s, %s. Measured on %s.", cores, m.CPU, m.Kernel, m.Go, m.Date)
}
