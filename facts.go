package ckpt

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// ProgramFacts tell which program saved: its file name and what the Go
// toolchain noted in it.
type ProgramFacts struct {
	Name     string // of the executable
	Module   string // path of the main module
	Version  string
	Go       string // version of Go
	Revision string // of the source, if known
	Modified bool   // the source differed from Revision
}

// HostFacts tell where it ran.
type HostFacts struct {
	Name, OS, Arch string
	CPUs           int
}

// fill adds the facts.
func (m *Metadata) fill() {
	m.Time = cmp.Or(m.saved, time.Now()).UTC().Truncate(time.Microsecond)
	m.Host = HostFacts{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	m.Host.Name, _ = os.Hostname()
	m.Program = ProgramFacts{Name: filepath.Base(os.Args[0]), Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	m.Program.Module, m.Program.Version = info.Main.Path, info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			m.Program.Revision = s.Value
		case "vcs.modified":
			m.Program.Modified = s.Value == "true"
		}
	}
}
