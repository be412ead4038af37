// Package layers_test reads the import graph of every module and fails when an
// arrow of ARCHITECTURE.md turns round.
package layers_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ckpt-go/ckpt"

// floors are the packages of the library from the ground up. A package may
// import those on lower floors, and on its own only where allowed says so.
var floors = [][]string{
	{"internal/fault", "internal/wire", "internal/crc32c", "internal/foreign"},
	{"storage/internal/names", "storage", "tensor", "table"},
	{"storage/local", "storage/mem", "storage/fsys", "storage/storagetest"},
	{"bundle", "objectgraph"},
	{""},
	{"inspect", "edit", "convert"},
	{"keras/internal/engine", "keras", "keras/gomlx", "cmd/ckpt"},
	{"interop/python", "interop", "examples", "bench"},
}

// allowed are the imports inside a floor.
var allowed = map[string][]string{
	"storage":                {"storage/internal/names"},
	"keras":                  {"keras/internal/engine"},
	"keras/gomlx":            {"keras", "keras/internal/engine"},
	"interop":                {"interop/python"},
	"storage/internal/names": nil,
	"examples/digits":        {"examples/digits/glyphs"},
}

// forbidden are arrows that the floors alone would let through.
var forbidden = map[string][]string{
	"table":       {"storage", "tensor"},
	"tensor":      {"storage", "table"},
	"storage":     {"tensor", "table"},
	"objectgraph": {"bundle", "storage", "tensor", "table"},
	"cmd/ckpt":    {"keras"},
}

// outside are the modules the library itself may depend on.
var outside = []string{"github.com/golang/snappy"}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports", "work")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// place is a package's path inside the house; ok is false for others.
func place(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// floorOf finds the floor of a package. The programs of examples/ share theirs,
// and so do the rooms of the command.
func floorOf(p string) int {
	for _, shared := range []string{"examples", "cmd/ckpt"} {
		if strings.HasPrefix(p, shared+"/") {
			p = shared
		}
	}
	for i, floor := range floors {
		if slices.Contains(floor, p) {
			return i
		}
	}
	return -1
}

func TestArrowsPointDown(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	for _, p := range packages {
		from, ok := place(p.ImportPath)
		if !ok {
			continue
		}
		if strings.HasPrefix(from, "internal/layers") {
			continue
		}
		floor := floorOf(from)
		if floor < 0 {
			t.Errorf("package %q stands on no floor: add it to this test and to ARCHITECTURE.md", from)
			continue
		}
		for _, imported := range p.Imports {
			checkArrow(t, from, floor, imported)
		}
	}
}

func checkArrow(t *testing.T, from string, floor int, imported string) {
	t.Helper()
	to, ours := place(imported)
	if !ours {
		if strings.Contains(strings.Split(imported, "/")[0], ".") && floor <= floorOf("") {
			for _, m := range outside {
				if imported == m || strings.HasPrefix(imported, m+"/") {
					return
				}
			}
			t.Errorf("%s imports %s, which the library does not depend on", name(from), imported)
		}
		return
	}
	target := floorOf(to)
	sameAllowed := strings.HasPrefix(from, "cmd/ckpt") && strings.HasPrefix(to, "cmd/ckpt/")
	for _, a := range allowed[from] {
		sameAllowed = sameAllowed || a == to
	}
	if target > floor || target == floor && !sameAllowed {
		t.Errorf("%s imports %s: the arrow points up", name(from), name(to))
	}
	for _, f := range forbidden[from] {
		if to == f || strings.HasPrefix(to, f+"/") {
			t.Errorf("%s must not know %s", name(from), name(to))
		}
	}
}

func name(p string) string {
	if p == "" {
		return "the root package"
	}
	return p
}
