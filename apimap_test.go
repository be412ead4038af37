package ckpt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mapRow is a row of docs/api-map.md.
type mapRow struct{ tensorflow, ours string }

func mapRows(t *testing.T) (rows []mapRow) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", "api-map.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 2 {
			t.Errorf("a row with %d columns: %s", len(cells), line)
			continue
		}
		rows = append(rows, mapRow{cells[0], cells[1]})
	}
	return rows
}

var (
	quoted    = regexp.MustCompile("`([^`]+)`")
	braces    = regexp.MustCompile(`^(.*)\{(.*?)\}(.*)$`)
	withArgs  = regexp.MustCompile(`^(.*)\((.*)\)$`)
	goName    = regexp.MustCompile(`^([a-z]+\.)?[A-Z]\w*(\.[A-Z]\w*)?$`)
	otherText = regexp.MustCompile(`^(ckpt:".*"|fs\.FS|context\.Context)$`)
)

// symbolsOf expands a name of the left column.
func symbolsOf(name string) (list []string) {
	if m := braces.FindStringSubmatch(name); m != nil {
		for part := range strings.SplitSeq(m[2], ", ") {
			list = append(list, symbolsOf(m[1]+part+m[3])...)
		}
		return list
	}
	if m := withArgs.FindStringSubmatch(name); m != nil {
		list = append(list, m[1])
		for argument := range strings.SplitSeq(m[2], ", ") {
			list = append(list, m[1]+"("+argument+")")
		}
		return list
	}
	return []string{name}
}

// Every name of TensorFlow has a row, and no row has a name that is none.
func TestAPIMapIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "tensorflow-symbols.txt"))
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]bool)
	for symbol := range strings.FieldsSeq(string(text)) {
		left[symbol] = true
	}
	known := make(map[string]bool)
	for _, row := range mapRows(t) {
		for _, m := range quoted.FindAllStringSubmatch(row.tensorflow, -1) {
			for _, symbol := range symbolsOf(m[1]) {
				if !left[symbol] && !known[symbol] {
					t.Errorf("TensorFlow has no %s", symbol)
				}
				known[symbol] = true
				delete(left, symbol)
			}
		}
	}
	for symbol := range left {
		t.Errorf("docs/api-map.md has no row for %s", symbol)
	}
}

// Every Go name of the map exists.
func TestAPIMapNamesExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "api-map.md"))
	if err != nil {
		t.Fatal(err)
	}
	// The left column is TensorFlow's.
	var ours strings.Builder
	for line := range strings.Lines(string(text)) {
		if _, right, row := strings.Cut(line, " | "); row && strings.HasPrefix(line, "| `") {
			line = right
		}
		ours.WriteString(line)
	}
	packages := map[string]map[string]bool{"": goNames(t, ".")}
	for _, m := range quoted.FindAllStringSubmatch(ours.String(), -1) {
		name := m[1]
		if slices.Contains([]string{"bundle", "tensor", "objectgraph", "storage", "keras", "{a, b}", "github.com/ckpt-go/ckpt"}, name) || otherText.MatchString(name) {
			continue
		}
		parts := goName.FindStringSubmatch(name)
		if parts == nil {
			t.Errorf("%q is no Go name", name)
			continue
		}
		dir := strings.TrimSuffix(parts[1], ".")
		if packages[dir] == nil {
			packages[dir] = goNames(t, dir)
		}
		if !packages[dir][strings.TrimPrefix(name, parts[1])] {
			t.Errorf("%s does not exist", name)
		}
	}
}

// goNames are the exported names of a package, fields and methods behind their
// types, those of embedded types included.
func goNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	embedded := make(map[string][]string)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					name = typeName(d.Recv.List[0].Type) + "." + name
				}
				names[name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					addSpec(names, embedded, spec)
				}
			}
		}
	}
	for outer, inner := range embedded {
		for name := range names {
			for _, i := range inner {
				if rest, ok := strings.CutPrefix(name, i+"."); ok {
					names[outer+"."+rest] = true
				}
			}
		}
	}
	return names
}

func addSpec(names map[string]bool, embedded map[string][]string, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		outer := spec.Name.Name
		names[outer] = true
		var fields *ast.FieldList
		switch of := spec.Type.(type) {
		case *ast.StructType:
			fields = of.Fields
		case *ast.InterfaceType:
			fields = of.Methods
		default:
			return
		}
		for _, f := range fields.List {
			if len(f.Names) == 0 {
				embedded[outer] = append(embedded[outer], typeName(f.Type))
			}
			for _, n := range f.Names {
				names[outer+"."+n.Name] = true
			}
		}
	}
}

// typeName is the name of a type without its pointer and type parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}
