package storagetest

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
)

// oddNames are names that shells, patterns and careless code stumble over.
func oddNames() []string {
	odd := []string{
		"a b", " leading", "it's", "percent%20", "dollar$x", "(paren)", "[bracket]", "{brace}", "-dash", "..a", "a..", ".hidden",
		"~tilde", "#hash", "größe", "モデル", "é", "e\u0301", "😀", "a.index", "a.data-00000-of-00001", ".lock", ".ckpt-tmp",
	}
	if runtime.GOOS == "windows" {
		return odd
	}
	odd = append(odd, "star*", "quest?ion", `double"quote`, `back\slash`, "new\nline", "tab\t", "colon:", "<angle>", "bell\a", "trailing ")
	if runtime.GOOS != "darwin" { // whose file systems insist on UTF-8 and may fold é
		odd = append(odd, "not utf-8 \xff\xfe")
	} else {
		odd = slices.DeleteFunc(odd, func(name string) bool { return name == "e\u0301" })
	}
	return odd
}

func testNames(t *testing.T, b storage.Bucket) {
	odd := oddNames()
	for _, name := range odd {
		Put(t, b, name, "contents of "+name)
		Put(t, b, "sub folder/[x]/"+name, "deep "+name)
	}
	for _, name := range odd {
		wantContents(t, b, name, "contents of "+name)
		wantContents(t, b, "sub folder/[x]/"+name, "deep "+name)
	}
	slices.Sort(odd)
	wantList(t, b, "", odd...)
	deep := make([]string, len(odd))
	for i, name := range odd {
		deep[i] = "sub folder/[x]/" + name
	}
	wantList(t, b, "sub folder/[x]/", deep...)
	for _, name := range odd {
		if err := b.Remove(t.Context(), name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
	}
	wantList(t, b, "")
}

func testInvalidNames(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "x")
	for _, name := range []string{"", ".", "..", "/", "/a", "../a", "a/../a", "x/../../a", "./a", "a/.", "a/..", "x//a", "a/", "nul\x00"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if f, err := b.Open(t.Context(), name); err == nil {
				f.Close()
				t.Error("Open: got no error")
			}
			w, err := b.Create(t.Context(), name, nil)
			wantError(t, "Create", err, fs.ErrInvalid)
			if err == nil {
				w.Abort()
			}
			wantError(t, "Remove", b.Remove(t.Context(), name), fs.ErrInvalid)
			if l, ok := b.(storage.Linker); ok {
				wantError(t, "Link from", l.Link(t.Context(), name, "b"), fs.ErrInvalid)
				wantError(t, "Link to", l.Link(t.Context(), "a", name), fs.ErrInvalid)
			}
		})
	}
	for _, prefix := range []string{"/", "/a", "../", "../a", "x/../a", "./a", "x//a"} {
		for _, err := range b.List(t.Context(), prefix) {
			wantError(t, fmt.Sprintf("List(%q)", prefix), err, fs.ErrInvalid)
		}
	}
	wantList(t, b, "", "a")
}

func testList(t *testing.T, b storage.Bucket) {
	wantList(t, b, "")
	all := []string{"ckpt-1.data-00000-of-00001", "ckpt-1.index", "ckpt-10.index", "ckpt-2.index", "checkpoint", "a*b", "a/x.index", "a/y.index", "a/b/z.index", "ab/x.index"}
	for _, name := range all {
		Put(t, b, name, name)
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"a*b", "checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index", "ckpt-10.index", "ckpt-2.index"}},
		{"ckpt-", []string{"ckpt-1.data-00000-of-00001", "ckpt-1.index", "ckpt-10.index", "ckpt-2.index"}},
		{"ckpt-1.", []string{"ckpt-1.data-00000-of-00001", "ckpt-1.index"}},
		{"ckpt-1.index", []string{"ckpt-1.index"}},
		{"ckpt-1.index2", nil},
		{"CKPT", nil},
		{"a", []string{"a*b"}},
		{"a*", []string{"a*b"}},
		{"*", nil},
		{"..", nil},
		{"a/", []string{"a/x.index", "a/y.index"}},
		{"a/x", []string{"a/x.index"}},
		{"a/b/", []string{"a/b/z.index"}},
		{"ab/", []string{"ab/x.index"}},
		{"missing/", nil},
	} {
		t.Run(fmt.Sprintf("%q", test.prefix), func(t *testing.T) { wantList(t, b, test.prefix, test.want...) })
	}
}

func testListStops(t *testing.T, b storage.Bucket) {
	for i := range 5 {
		Put(t, b, fmt.Sprint(i), "x")
	}
	seq := b.List(t.Context(), "")
	for range 2 { // a sequence can be walked again
		var got []string
		for info, err := range seq {
			if err != nil {
				t.Fatalf("List: %v", err)
			}
			if got = append(got, info.Name); len(got) == 2 {
				break
			}
		}
		if want := []string{"0", "1"}; !slices.Equal(got, want) {
			t.Errorf("List: got %q, want %q", got, want)
		}
	}
}
