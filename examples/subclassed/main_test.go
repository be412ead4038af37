// Package main, because the tests run the program itself.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	pt "github.com/ckpt-go/ckpt/examples/internal/programtest"
)

const (
	saves    = "custom_training_checkpoints"
	scratch  = "No checkpoint found, starting from scratch."
	kernel   = "model/dense1/_kernel"
	unusable = "ckpt: " + saves + " holds no checkpoint that can be used. Move the directory away to start from scratch, or repair one:"
)

func TestProgram(t *testing.T) {
	binary := pt.Build(t)
	for name, test := range map[string]func(*testing.T, string){
		"runs": runs, "killed": killed, "newest damaged": newestDamaged, "all damaged": allDamaged,
		"other program": otherProgram, "Keras 2": keras2, "strangers": strangers, "no folder": noFolder, "read-only": readOnly,
	} {
		t.Run(name, func(t *testing.T) { test(t, binary) })
	}
}

// lines are what ten steps print after the first line: from a step on, with
// checkpoints from a number on.
func lines(first string, step, number int) []string {
	want := []string{first}
	for range 10 {
		want = append(want, fmt.Sprintf("Step: %d, Loss: …", step))
		if step%3 == 0 {
			want = append(want, "Saved checkpoint at: "+pt.Prefix(saves, number))
			number++
		}
		step++
	}
	return want
}

func restored(number int) string { return "Restored from checkpoint: " + pt.Prefix(saves, number) }

// runs lets the program run three times. The tenth step of a run is not saved,
// so the next one makes it again.
func runs(t *testing.T, binary string) {
	folder := t.TempDir()
	dir := filepath.Join(folder, saves)
	for i, want := range [][]string{lines(scratch, 1, 1), lines(restored(3), 10, 4), lines(restored(6), 19, 7)} {
		pt.WantLines(t, pt.Output(t, folder, binary), want...)
		last := 3 * (i + 1)
		pt.WantCheckpoints(t, dir, numbers(max(1, last-4), last)...)
		pt.WantLatest(t, dir, last)
		for n := max(2, last-3); n <= last; n++ {
			pt.WantStep(t, pt.Prefix(dir, n-1), pt.Prefix(dir, n), kernel, 0.01)
		}
		for _, counter := range []string{"step", "optimizer/_iterations"} {
			if got := pt.SavedStep(t, dir, counter); got != int64(3*last) {
				t.Errorf("%s: got %d, want %d", counter, got, 3*last)
			}
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the program left %v, %v, want its checkpoints only", entries, err)
	}
}

func numbers(first, last int) []int {
	var list []int
	for n := first; n <= last; n++ {
		list = append(list, n)
	}
	return list
}

func killed(t *testing.T, binary string) {
	p := &pt.Short{Binary: binary, Folder: t.TempDir(), Saves: []string{saves}, Lines: 14, Longest: 10 * time.Millisecond}
	p.Kill(t, 20)
	dir := filepath.Join(p.Folder, saves)
	before := pt.SavedStep(t, dir, "step")
	out := pt.Output(t, p.Folder, binary)
	// A kill between the index and the state file leaves a newer checkpoint that
	// counts no more: the steps go on from the one the state file names.
	pt.WantWords(t, out, "Restored from checkpoint: ", fmt.Sprintf("Step: %d, Loss: ", before+1))
	if n := pt.WantGood(t, dir); n != 5 || len(pt.Files(t, dir)) != 11 {
		t.Errorf("%d checkpoints in %d files, want the newest 5 in 10 and the state file", n, len(pt.Files(t, dir)))
	}
	if got := pt.SavedStep(t, dir, "step"); got%3 != 0 || got < before+8 || got != pt.SavedStep(t, dir, "optimizer/_iterations") {
		t.Errorf("step %d after step %d", got, before)
	}
}

func newestDamaged(t *testing.T, binary string) {
	data := pt.Data("ckpt-3")
	tests := map[string]struct {
		damage func(t *testing.T, newest string)
		why    string
	}{
		"bit":     {func(t *testing.T, newest string) { pt.Damage(t, pt.Data(newest)) }, data + `: tensor "optimizer/_variables/3/.ATTRIBUTES/VARIABLE_VALUE": offset `},
		"index":   {func(t *testing.T, newest string) { pt.Damage(t, newest+".index") }, "ckpt-3.index: "},
		"no data": {func(t *testing.T, newest string) { pt.Remove(t, pt.Data(newest)) }, data + ": tensor "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			dir := filepath.Join(folder, saves)
			pt.Output(t, folder, binary)
			test.damage(t, pt.Prefix(dir, 3))
			want := append([]string{"refused " + pt.Prefix(saves, 3) + ": " + test.why + "…"}, lines(restored(2), 7, 4)...)
			pt.WantLines(t, pt.Output(t, folder, binary), want...)
			pt.WantStep(t, pt.Prefix(dir, 2), pt.Prefix(dir, 4), kernel, 0.01)
		})
	}
}

func allDamaged(t *testing.T, binary string) {
	folder := t.TempDir()
	pt.Output(t, folder, binary)
	want := []string{unusable}
	for n := 3; n >= 1; n-- {
		pt.Damage(t, pt.Data(pt.Prefix(filepath.Join(folder, saves), n)))
		name := fmt.Sprintf("ckpt-%d", n)
		want = append(want, "  refused "+pt.Prefix(saves, n)+": "+pt.Data(name)+`: tensor "…`)
	}
	fails(t, folder, binary, strings.Join(want, "\n"))
}

// fails lets the program fail with lines of which the last may end in …, and
// change nothing.
func fails(t *testing.T, folder, binary, want string) {
	t.Helper()
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, binary), strings.Split(want, "\n")...)
	if !maps.Equal(pt.Files(t, folder), before) {
		t.Error("the program changed files")
	}
}

// otherProgram puts the checkpoints of sequential where the program looks.
func otherProgram(t *testing.T, binary string) {
	folder, other := t.TempDir(), t.TempDir()
	pt.Output(t, other, pt.BuildOf(t, "../sequential"))
	pt.Copy(t, filepath.Join(folder, saves), filepath.Join(other, "training_checkpoints"))
	fails(t, folder, binary, "ckpt: "+pt.Prefix(saves, 1)+" has no values for 1 object of the program, nothing was restored: (root).step; "+
		"it has (root).model._functional._operations.1._kernel, …")
}

// keras2 puts a checkpoint there that the same program wrote with Keras 2. All
// but the kernels have the same names, and those appear at the first step.
func keras2(t *testing.T, binary string) {
	folder := t.TempDir()
	dense1, dense2 := pt.Keras2Dense(t, "my_model/dense", 10, 128), pt.Keras2Dense(t, "my_model/dense_1", 128, 10)
	pt.SaveAs(t, filepath.Join(folder, saves), ckpt.Objects{
		"model": pt.Node(t, "dense1", dense1, "dense2", dense2), "optimizer": pt.Keras2Adam(t, dense1, dense2), "step": ckpt.NewScalar[int64]("Variable", 1),
	})
	fails(t, folder, binary, restored(1)+"\nckpt: "+pt.Prefix(saves, 1)+", from which this program resumed, has no values for 1 object that appeared now: (root).model.dense1._kernel; "+
		"it has (root).model.dense1.kernel there: is it a checkpoint of another model, optimizer or version of Keras? To let these objects keep the values they have, …")
}

// strangers puts checkpoints of other programs there.
func strangers(t *testing.T, binary string) {
	misfit := "ckpt: custom_training_checkpoints/ckpt-%d has no values for 3 objects of the program, nothing was restored: (root).step, …"
	for name, want := range map[string]string{
		"keras2-legacy-adam-slots":        fmt.Sprintf(misfit, 133),
		"keras2-new-optimizer-savedmodel": unusable + "\n  refused " + filepath.Join(saves, "variables") + ": …",
		"keras3-train-checkpoint":         fmt.Sprintf(misfit, 1),
		"git-lfs-pointer":                 unusable + "\n  refused " + filepath.Join(saves, "variables") + ": variables.index: offset 81, 48 bytes: not an sstable (bad magic number): the file is a Git LFS pointer: …",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			pt.Copy(t, filepath.Join(folder, saves), pt.Strangers(t, name))
			fails(t, folder, binary, want)
		})
	}
}

// noFolder puts a file where the folder belongs.
func noFolder(t *testing.T, binary string) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, saves), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	fails(t, folder, binary, "ckpt: directory "+saves+": list "+saves+": not a directory")
}

func readOnly(t *testing.T, binary string) {
	folder := t.TempDir()
	steps := []string{"Step: 1, Loss: …", "Step: 2, Loss: …", "Step: 3, Loss: …"}
	fresh := pt.ReadOnly(t, folder, binary)
	pt.WantLines(t, pt.Fails(t, folder, fresh...), append(append([]string{scratch}, steps...),
		"ckpt: saving "+pt.Prefix(saves, 1)+": create "+saves+": making folder "+saves+": permission denied")...)

	folder = t.TempDir()
	pt.Output(t, folder, binary)
	command := pt.ReadOnly(t, folder, binary)
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, command...), restored(3), "Step: 10, Loss: …", "Step: 11, Loss: …", "Step: 12, Loss: …",
		"ckpt: saving "+pt.Prefix(saves, 4)+": create "+pt.Prefix(saves, 4)+": permission denied")
	if !maps.Equal(pt.Files(t, folder), before) {
		t.Error("the program changed files")
	}
}
