package local

import (
	"os"
	"path/filepath"
	"strings"
)

// workingDir is the absolute path of the working directory, "" if none leads there:
// one that was removed, one below a folder that this program may not pass, or
// one that is too deep.
func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	there, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	here, err := os.Stat(".")
	if err != nil || !os.SameFile(here, there) {
		return ""
	}
	return dir
}

// within is a path seen from a working directory. It is not cleaned: `..` behind a
// symbolic link is the folder above the link's target.
func within(work, path string) string {
	if work == "" || filepath.IsAbs(path) {
		return path
	}
	if filepath.VolumeName(path) != "" || os.IsPathSeparator(path[0]) {
		// Windows: relative to the working directory of a drive, or to the drive.
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
		return path
	}
	return strings.TrimSuffix(work, string(filepath.Separator)) + string(filepath.Separator) + path
}
