// Package main, as script_test.go beside it.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// wild holds checkpoints of strangers, beside the repository: see its README.
const wild = "../../../shared/wild"

// wildTensor is a tensor as the truth tells it and as the command does.
type wildTensor struct {
	Name, DType string
	Shape       []int64
	SHA256      string
}

type wildCheckpoint struct {
	Prefix  string `json:"prefix"`
	Opens   bool   `json:"opens"`
	Tensors []struct {
		Key    string  `json:"key"`
		DType  string  `json:"dtype"`
		Shape  []int64 `json:"shape"`
		SHA256 string  `json:"sha256"`
	} `json:"tensors"`
}

func TestWild(t *testing.T) {
	truths, err := filepath.Glob(filepath.Join(wild, "*", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(truths) == 0 {
		t.Skipf("there are no checkpoints in %s", wild)
	}
	for _, truth := range truths {
		dir := filepath.Dir(truth)
		if runtime.GOOS == "windows" && strings.Contains(dir, "odd-prefix") {
			continue
		}
		text, err := os.ReadFile(truth)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Checkpoints []wildCheckpoint `json:"checkpoints"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		for _, c := range file.Checkpoints {
			t.Run(filepath.Base(dir)+"/"+c.Prefix, func(t *testing.T) {
				prefix := filepath.Join(dir, filepath.FromSlash(c.Prefix))
				if !c.Opens {
					checkUnreadable(t, prefix)
					return
				}
				checkWild(t, prefix, &c)
			})
		}
	}
}

func checkUnreadable(t *testing.T, prefix string) {
	var stdout, stderr bytes.Buffer
	code := cli.Main(t.Context(), []string{"ls", "--json", prefix}, cli.Stdio{Out: &stdout, Err: &stderr})
	if code != 3 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "Git LFS") {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// jsonOf runs a verb that must succeed, and decodes its document.
func jsonOf(t *testing.T, document any, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main(t.Context(), append(args, "--json"), cli.Stdio{Out: &stdout, Err: &stderr})
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), document); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func checkWild(t *testing.T, prefix string, c *wildCheckpoint) {
	var want, got []wildTensor
	for _, v := range c.Tensors {
		want = append(want, wildTensor{v.Key, v.DType, append([]int64{}, v.Shape...), v.SHA256})
	}
	slices.SortFunc(want, func(a, b wildTensor) int { return strings.Compare(a.Name, b.Name) })

	var ls struct {
		Tensors []struct {
			Name  string  `json:"name"`
			DType string  `json:"dtype"`
			Shape []int64 `json:"shape"`
		} `json:"tensors"`
	}
	var hash struct {
		Tensors []struct {
			Name   string `json:"name"`
			SHA256 string `json:"sha256"`
		} `json:"tensors"`
	}
	var verify struct {
		OK bool `json:"ok"`
	}
	jsonOf(t, &ls, "ls", prefix)
	jsonOf(t, &hash, "hash", prefix)
	jsonOf(t, &verify, "verify", prefix)
	if !verify.OK {
		t.Error("verify says that it is not ok")
	}
	if len(ls.Tensors) != len(hash.Tensors) {
		t.Fatalf("ls lists %d tensors, hash %d", len(ls.Tensors), len(hash.Tensors))
	}
	for i, v := range ls.Tensors {
		if v.Name != hash.Tensors[i].Name {
			t.Errorf("tensor %d is %s of ls and %s of hash", i, v.Name, hash.Tensors[i].Name)
		}
		sum := hash.Tensors[i].SHA256
		if v.DType == "string" {
			sum = plainSum(t, prefix, v.Name, sum)
		}
		got = append(got, wildTensor{v.Name, v.DType, v.Shape, sum})
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tensors (-got +want):\n%s", diff)
	}
	checkWildTree(t, prefix, want)
}

// checkWildTree wants the object graph, if there is one, to name no tensor that
// is not there.
func checkWildTree(t *testing.T, prefix string, tensors []wildTensor) {
	if !slices.ContainsFunc(tensors, func(v wildTensor) bool { return v.Name == objectgraph.Key }) {
		return
	}
	var stdout, stderr bytes.Buffer
	code := cli.Main(t.Context(), []string{"tree", prefix}, cli.Stdio{Out: &stdout, Err: &stderr})
	if code != 0 || strings.Contains(stdout.String(), "(no tensor ") || !strings.HasPrefix(stdout.String(), "(root)") {
		t.Errorf("tree: exit code %d: %.1000s%s", code, stdout.String(), stderr.String())
	}
	var tree struct {
		Nodes []struct {
			Attributes []struct {
				Key string `json:"checkpoint_key"`
			} `json:"attributes"`
		} `json:"nodes"`
	}
	jsonOf(t, &tree, "tree", prefix)
	attributes := 0
	for _, n := range tree.Nodes {
		attributes += len(n.Attributes)
	}
	if attributes == 0 {
		t.Error("tree --json has no attribute")
	}
}

// plainSum is the hash that truth.json has of a string scalar: without the length,
// whatever its README says. That of the command must be of both.
func plainSum(t *testing.T, prefix, name, sum string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Main(t.Context(), []string{"show", "--raw", prefix, name}, cli.Stdio{Out: &stdout, Err: &stderr}); code != 0 {
		t.Fatalf("show --raw %s: exit code %d: %s", name, code, stderr.String())
	}
	length := binary.LittleEndian.AppendUint64(nil, uint64(stdout.Len()))
	if want := fmt.Sprintf("%x", sha256.Sum256(append(length, stdout.Bytes()...))); sum != want {
		t.Errorf("%s: got hash %s, want %s", name, sum, want)
	}
	return fmt.Sprintf("%x", sha256.Sum256(stdout.Bytes()))
}
