package cli

import (
	"fmt"
	"runtime/debug"
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
	text := fmt.Sprintf("ckpt %s %s", version, info.GoVersion)
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			text += " " + setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				text += " (modified)"
			}
		}
	}
	return text
}
