package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// oddNames are no text, or do something to a terminal: colours, other controls
// of one and of two bytes, marks that turn the direction of writing, marks that
// cannot be seen, ends of lines.
var oddNames = []string{
	"not\xffutf8", "half\xe2\x82", "\x9b31m", "esc\x1b[31m", "bell\a\b", "del\x7f", "c1\u009b31m",
	"rtl\u202egnp", "isolate\u2066x\u2069", "mark\u200f", "join\u200d\ufeff", "line\u2028", "new\nline\r", "tag\U000e0041",
}

// checkSafe wants output that a terminal can be shown.
func checkSafe(t *testing.T, what, output string) {
	t.Helper()
	for i, r := range output {
		_, size := utf8.DecodeRuneInString(output[i:])
		if r != '\n' && !strconv.IsPrint(r) || r == utf8.RuneError && size == 1 {
			t.Errorf("%s prints %q in %.300q", what, output[i:i+size], output)
			return
		}
	}
}

// writeOdd writes a checkpoint of that name whose tensor, edge, slot, full name
// and saver have it too, in a folder of its own with a state file.
func writeOdd(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	g := &objectgraph.Graph{Nodes: []objectgraph.Node{
		{Children: []objectgraph.Edge{{Name: name, Node: 1}}, Slots: []objectgraph.SlotVariable{{Name: name, Original: 1, Node: 2}}},
		{Attributes: []objectgraph.Attribute{{Name: objectgraph.VariableValue, FullName: name, Key: name}}},
		{RegisteredSaver: &objectgraph.RegisteredSaver{Name: name, Object: name}},
	}}
	b := local.Open(dir, nil)
	w, err := bundle.Create(t.Context(), b, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, err := range []error{
		w.AddStrings(t.Context(), objectgraph.Key, nil, slices.Values([][]byte{g.Append(nil)})),
		w.AddStrings(t.Context(), name, nil, slices.Values([][]byte{[]byte(name)})),
		w.Add(t.Context(), name+"n", tensor.Int8, nil, slices.Values([][]byte{{1}})),
		w.Commit(t.Context()),
		os.WriteFile(filepath.Join(dir, "checkpoint"), []byte("model_checkpoint_path: "+octal(name)+"\n"), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// octal is a string of a state file, each byte escaped.
func octal(s string) string {
	var text strings.Builder
	text.WriteString(`"`)
	for _, c := range []byte(s) {
		text.WriteString(`\` + strconv.FormatUint(uint64(c)+0o1000, 8)[1:])
	}
	return text.String() + `"`
}

// named is a pair of fields as every document has it: the value, or base64 of
// one that is not UTF-8.
func named(t *testing.T, object map[string]json.RawMessage, field string) string {
	t.Helper()
	var text *string
	var raw []byte
	if v, ok := object[field]; ok {
		if err := json.Unmarshal(v, &text); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok := object[field+"_b64"]; ok {
		if err := json.Unmarshal(v, &raw); err != nil {
			t.Fatal(err)
		}
		if text != nil || utf8.Valid(raw) {
			t.Errorf("%s_b64 is %q beside %s = %v", field, raw, field, text)
		}
		return string(raw)
	}
	if text == nil {
		return ""
	}
	return *text
}

// object and objects take documents apart.
func object(t *testing.T, text []byte) (o map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

func objects(t *testing.T, text []byte) (list []map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return list
}

// TestOddNames gives every verb names of every kind: nothing of them reaches a
// terminal, and the documents have them byte for byte.
func TestOddNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow most of these names")
	}
	for _, name := range oddNames {
		t.Run(strconv.QuoteToASCII(name), func(t *testing.T) {
			dir := writeOdd(t, name)
			prefix := dir + "/" + name
			for _, args := range [][]string{
				{"ls", dir}, {"ls", "-l", prefix}, {"tree", dir}, {"hash", prefix + ".index"}, {"verify", dir}, {"verify", prefix}, {"show", dir, name}, {"show", prefix, name + "n"},
			} {
				for _, flags := range [][]string{nil, {"--json"}} {
					code, stdout, stderr := run(t, append(args, flags...)...)
					if code != 0 {
						t.Errorf("%q: exit %d: %s", args, code, stderr)
					}
					checkSafe(t, args[0], stdout+stderr)
				}
			}
			wantPrefixOnly(t, dir, prefix)
			for _, args := range oddErrors(dir, name) {
				code, stdout, stderr := run(t, args...)
				if code == 0 || stderr == "" {
					t.Errorf("%q: exit %d, %q", args, code, stderr)
				}
				checkSafe(t, args[0]+" with an error", stdout+stderr)
			}
			checkDocuments(t, dir, name)
			checkDamageDocuments(t, dir, name)
		})
	}
}

// oddErrors are command lines that fail and quote the name.
func oddErrors(dir, name string) [][]string {
	missing := dir + "/" + name + "x"
	return [][]string{
		{"show", dir, name + "x"}, {"ls", missing}, {"tree", missing}, {"show", missing, "x"}, {"hash", missing}, {"verify", missing}, {"latest", missing}, {"resume", missing},
		{name}, {"help", name}, {"ls", "--" + name}, {"ls", dir, name}, {"show", "--raw", dir, name, name}, {"ls", dir + "/" + name + ".index/" + name},
	}
}

// wantPrefixOnly wants latest and resume to refuse a prefix on the terminal, and
// to print it in JSON.
func wantPrefixOnly(t *testing.T, dir, prefix string) {
	t.Helper()
	for _, verb := range []string{"latest", "resume"} {
		code, stdout, stderr := run(t, verb, dir)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "--json") {
			t.Errorf("%s: exit %d, %q, %q, want a hint at --json", verb, code, stdout, stderr)
		}
		checkSafe(t, verb, stderr)
		code, stdout, stderr = run(t, verb, "--json", dir)
		if got := named(t, object(t, []byte(stdout)), "prefix"); code != 0 || got != prefix {
			t.Errorf("%s --json: exit %d, got prefix %q, want %q", verb, code, got, prefix)
		}
		checkSafe(t, verb+" --json", stdout+stderr)
	}
}

// document is what a command line prints with --json.
func document(t *testing.T, code int, args ...string) map[string]json.RawMessage {
	t.Helper()
	got, stdout, stderr := run(t, append(args, "--json")...)
	if got != code {
		t.Errorf("%q: exit %d, want %d: %s", args, got, code, stderr)
	}
	checkSafe(t, args[0]+" --json", stdout+stderr)
	return object(t, []byte(stdout))
}

func wantNamed(t *testing.T, o map[string]json.RawMessage, field, want string) {
	t.Helper()
	if got := named(t, o, field); got != want {
		t.Errorf("%s: got %q, want %q", field, got, want)
	}
}

// checkDocuments compares the names in the documents of a good checkpoint.
func checkDocuments(t *testing.T, dir, name string) {
	t.Helper()
	prefix := dir + "/" + name
	find := func(list []map[string]json.RawMessage) map[string]json.RawMessage {
		for _, o := range list {
			if named(t, o, "name") == name {
				return o
			}
		}
		t.Errorf("%q is not in %s", name, list)
		return nil
	}
	ls := document(t, 0, "ls", dir)
	wantNamed(t, ls, "prefix", prefix)
	find(objects(t, ls["tensors"]))
	find(objects(t, document(t, 0, "hash", dir)["tensors"]))
	show := document(t, 0, "show", dir, name)
	wantNamed(t, show, "prefix", prefix)
	wantNamed(t, show, "name", name)
	nodes := objects(t, document(t, 0, "tree", dir)["nodes"])
	find(objects(t, nodes[0]["children"]))
	find(objects(t, nodes[0]["slot_variables"]))
	attribute := objects(t, nodes[1]["attributes"])[0]
	wantNamed(t, attribute, "full_name", name)
	wantNamed(t, attribute, "checkpoint_key", name)
	saver := object(t, nodes[2]["registered_saver"])
	wantNamed(t, saver, "name", name)
	wantNamed(t, saver, "object_name", name)
}

// checkDamageDocuments damages the checkpoint and compares the names in what
// tells of it.
func checkDamageDocuments(t *testing.T, dir, name string) {
	t.Helper()
	prefix := dir + "/" + name
	data := prefix + ".data-00000-of-00001"
	if err := os.WriteFile(data, make([]byte, 4), 0o666); err != nil {
		t.Fatal(err)
	}
	verify := objects(t, document(t, 3, "verify", dir)["checkpoints"])[0]
	wantNamed(t, verify, "prefix", prefix)
	problems := objects(t, verify["problems"])
	wantNamed(t, problems[0], "file", filepath.Base(data))
	refused := objects(t, document(t, 3, "resume", dir)["refused"])[0]
	wantNamed(t, refused, "prefix", prefix)
	var keys strings.Builder
	for _, p := range append(problems, objects(t, refused["problems"])...) {
		keys.WriteString(named(t, p, "tensor") + "\x00")
	}
	if !strings.Contains(keys.String(), name+"\x00") {
		t.Errorf("no problem names the tensor %q: %q", name, keys.String())
	}
	for _, verb := range []string{"verify", "resume", "hash"} {
		_, stdout, stderr := run(t, verb, dir)
		checkSafe(t, verb+" of damage", stdout+stderr)
	}
}
