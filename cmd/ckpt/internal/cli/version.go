package cli

import (
	"runtime/debug"
	"strings"
)

// versionText names the version of the module as the Go toolchain recorded it.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "ckpt (version unknown)"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	parts := []string{"ckpt", version, info.GoVersion}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			parts = append(parts, setting.Value)
		case setting.Key == "vcs.modified" && setting.Value == "true":
			parts = append(parts, "(modified)")
		}
	}
	return strings.Join(parts, " ")
}
