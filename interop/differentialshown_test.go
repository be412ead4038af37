package interop_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (r *runner) short(path string) string {
	if path == "" {
		return "none"
	}
	short, err := filepath.Rel(r.folder, path)
	if err != nil {
		return err.Error()
	}
	return filepath.ToSlash(short)
}

// values shows everything that has a value.
func (r *runner) values() string {
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(r.objects)) {
		if h, ok := r.holders[id]; ok {
			lines = append(lines, fmt.Sprintf("%d: %s", id, h.show()))
		} else if o, ok := r.objects[id].(slotted); ok {
			lines = append(lines, fmt.Sprintf("%d: %s", id, o.own().show()))
		} else if c, ok := r.checkpoints[id]; ok {
			lines = append(lines, fmt.Sprintf("%d: %d", id, c.SaveCounter()))
		}
	}
	return strings.Join(lines, "\n")
}

// files shows what lies in the folder.
func (r *runner) files() string {
	var lines []string
	err := filepath.WalkDir(r.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		shown := hex.EncodeToString(sum[:])[:16]
		if entry.Name() == "checkpoint" {
			shown = "\n" + string(content)
		}
		lines = append(lines, r.short(path)+" "+shown)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
