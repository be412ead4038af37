// Package main, because the tests run the program itself.
package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	pt "github.com/ckpt-go/ckpt/examples/internal/programtest"
)

const (
	saves     = "training_checkpoints"
	scratch   = "No checkpoint found, starting from scratch."
	kernel    = "optimizer/_trainable_variables/0" // the shortest path to the first layer's
	unusable  = "ckpt: " + saves + " holds no checkpoint that can be used. Move the directory away to start from scratch, or repair one:"
	wantAlone = `to let these objects keep the values they have, set ResumeOptions.AllowPartial`
)

func TestProgram(t *testing.T) {
	binary := pt.Build(t)
	for name, test := range map[string]func(*testing.T, string){
		"runs": runs, "killed": killed, "newest damaged": newestDamaged, "all damaged": allDamaged, "state file": stateFile,
		"other program": otherProgram, "Keras 2": keras2, "strangers": strangers, "no folder": noFolder, "read-only": readOnly,
	} {
		t.Run(name, func(t *testing.T) { test(t, binary) })
	}
}

// runs lets the program run seven times: each goes on from the one before.
func runs(t *testing.T, binary string) {
	folder := t.TempDir()
	dir := filepath.Join(folder, saves)
	pt.WantLines(t, pt.Output(t, folder, binary), scratch, "Saved checkpoint at: "+pt.Prefix(saves, 1))
	pt.WantCheckpoints(t, dir, 1)
	for n := 2; n <= 7; n++ {
		pt.WantLines(t, pt.Output(t, folder, binary),
			"Restored from checkpoint: "+pt.Prefix(saves, n-1), "Saved checkpoint at: "+pt.Prefix(saves, n))
		pt.WantStep(t, pt.Prefix(dir, n-1), pt.Prefix(dir, n), kernel, 0.002)
		if got := pt.SavedStep(t, dir, "optimizer/_iterations"); got != int64(n) {
			t.Errorf("got %d steps of the optimizer, want %d", got, n)
		}
	}
	pt.WantCheckpoints(t, dir, 3, 4, 5, 6, 7)
	pt.WantLatest(t, dir, 7)
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the program left %v, %v, want its checkpoints only", entries, err)
	}
}

func killed(t *testing.T, binary string) {
	p := &pt.Short{Binary: binary, Folder: t.TempDir(), Saves: []string{saves}, Lines: 2, Longest: 10 * time.Millisecond}
	p.Kill(t, 20)
	pt.WantWords(t, pt.Output(t, p.Folder, binary), "Restored from checkpoint: ", "Saved checkpoint at: ")
	dir := filepath.Join(p.Folder, saves)
	if n := pt.WantGood(t, dir); n > 5 || len(pt.Files(t, dir)) != 2*n+1 {
		t.Errorf("%d checkpoints in %d files, want at most 5, and nothing else but the state file", n, len(pt.Files(t, dir)))
	}
}

// newestDamaged lets the program run after damages to the last of two
// checkpoints.
func newestDamaged(t *testing.T, binary string) {
	data := pt.Data("ckpt-2")
	tests := map[string]struct {
		damage func(t *testing.T, newest string)
		why    string
	}{
		"bit":           {func(t *testing.T, newest string) { pt.Damage(t, pt.Data(newest)) }, data + `: tensor "optimizer/_variables/7/.ATTRIBUTES/VARIABLE_VALUE": offset `},
		"bit in index":  {func(t *testing.T, newest string) { pt.Damage(t, newest+".index") }, "ckpt-2.index: "},
		"empty index":   {func(t *testing.T, newest string) { truncate(t, newest+".index", 0) }, "ckpt-2.index: "},
		"short data":    {func(t *testing.T, newest string) { truncate(t, pt.Data(newest), 20000) }, data + ": tensor "},
		"no data":       {func(t *testing.T, newest string) { pt.Remove(t, pt.Data(newest)) }, data + ": tensor "},
		"no index":      {func(t *testing.T, newest string) { pt.Remove(t, newest+".index") }, "ckpt-2.index: "},
		"both are gone": {func(t *testing.T, newest string) { pt.Remove(t, pt.Data(newest), newest+".index") }, "ckpt-2.index: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			dir := filepath.Join(folder, saves)
			pt.Output(t, folder, binary)
			pt.Output(t, folder, binary)
			test.damage(t, pt.Prefix(dir, 2))
			pt.WantLines(t, pt.Output(t, folder, binary),
				"refused "+pt.Prefix(saves, 2)+": "+test.why+"…",
				"Restored from checkpoint: "+pt.Prefix(saves, 1),
				"Saved checkpoint at: "+pt.Prefix(saves, 3))
			pt.WantStep(t, pt.Prefix(dir, 1), pt.Prefix(dir, 3), kernel, 0.002)
		})
	}
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func allDamaged(t *testing.T, binary string) {
	folder := t.TempDir()
	for range 2 {
		pt.Output(t, folder, binary)
	}
	for n := 1; n <= 2; n++ {
		pt.Damage(t, pt.Data(pt.Prefix(filepath.Join(folder, saves), n)))
	}
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, binary), unusable,
		"  refused "+pt.Prefix(saves, 2)+": "+pt.Data("ckpt-2")+`: tensor "…`,
		"  refused "+pt.Prefix(saves, 1)+": "+pt.Data("ckpt-1")+`: tensor "…`)
	unchanged(t, folder, before)
}

func unchanged(t *testing.T, folder string, before map[string]string) {
	t.Helper()
	if !maps.Equal(pt.Files(t, folder), before) {
		t.Error("the program changed files")
	}
}

// stateFile damages or removes the state file: the checkpoints are found without.
func stateFile(t *testing.T, binary string) {
	for name, damage := range map[string]func(t *testing.T, state string){
		"removed": func(t *testing.T, state string) { pt.Remove(t, state) },
		"empty":   func(t *testing.T, state string) { truncate(t, state, 0) },
		"damaged": func(t *testing.T, state string) {
			if err := os.WriteFile(state, []byte("what is this?"), 0o666); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			pt.Output(t, folder, binary)
			pt.Output(t, folder, binary)
			damage(t, filepath.Join(folder, saves, "checkpoint"))
			pt.WantLines(t, pt.Output(t, folder, binary),
				"Restored from checkpoint: "+pt.Prefix(saves, 2), "Saved checkpoint at: "+pt.Prefix(saves, 3))
		})
	}
}

// otherProgram puts the checkpoints of subclassed where the program looks.
func otherProgram(t *testing.T, binary string) {
	folder, other := t.TempDir(), t.TempDir()
	pt.Output(t, other, pt.BuildOf(t, "../subclassed"))
	pt.Copy(t, filepath.Join(folder, saves), filepath.Join(other, "custom_training_checkpoints"))
	before := pt.Files(t, folder)
	pt.WantWords(t, pt.Fails(t, folder, binary),
		"ckpt: "+pt.Prefix(saves, 3)+" has no values for 4 objects of the program, nothing was restored: (root).model._functional._operations.1._kernel",
		"it has (root).step, (root).model.dense1._kernel, ", wantAlone)
	unchanged(t, folder, before)
}

// keras2 puts a checkpoint there that the same program wrote with Keras 2.
func keras2(t *testing.T, binary string) {
	folder := t.TempDir()
	dense, dense1 := pt.Keras2Dense(t, "dense", 10, 128), pt.Keras2Dense(t, "dense_1", 128, 10)
	model := pt.Node(t, "layer_with_weights-0", dense, "layer-0", dense, "layer_with_weights-1", dense1, "layer-1", dense1)
	pt.SaveAs(t, filepath.Join(folder, saves), ckpt.Objects{"model": model, "optimizer": pt.Keras2Adam(t, dense, dense1)})
	before := pt.Files(t, folder)
	pt.WantWords(t, pt.Fails(t, folder, binary),
		"ckpt: "+pt.Prefix(saves, 1)+" has no values for 4 objects of the program, nothing was restored: (root).model._functional._operations.1._kernel",
		"it has (root).model.layer_with_weights-0.kernel, ", wantAlone)
	unchanged(t, folder, before)
}

// strangers puts checkpoints of other programs there.
func strangers(t *testing.T, binary string) {
	for name, want := range map[string]string{
		"keras2-legacy-adam-slots":        "ckpt: " + pt.Prefix(saves, 133) + " has no values for 6 objects of the program, nothing was restored: ",
		"keras2-new-optimizer-savedmodel": unusable + "\n  refused " + filepath.Join(saves, "variables") + ": ",
		"keras3-train-checkpoint":         " has no values for 6 objects of the program, nothing was restored: ",
		"tf1-v1-format":                   "a name-based checkpoint, as TensorFlow 1 wrote them",
		"git-lfs-pointer":                 "fetch the file itself with git lfs pull",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			pt.Copy(t, filepath.Join(folder, saves), pt.Strangers(t, name))
			before := pt.Files(t, folder)
			pt.WantWords(t, pt.Fails(t, folder, binary), want)
			unchanged(t, folder, before)
		})
	}
}

// noFolder puts a file where the folder belongs.
func noFolder(t *testing.T, binary string) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, saves), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	pt.WantLines(t, pt.Fails(t, folder, binary), "ckpt: directory "+saves+": list "+saves+": not a directory")
}

func readOnly(t *testing.T, binary string) {
	folder := t.TempDir()
	fresh := pt.ReadOnly(t, folder, binary)
	pt.WantLines(t, pt.Fails(t, folder, fresh...), scratch,
		"ckpt: saving "+pt.Prefix(saves, 1)+": create "+saves+": making folder "+saves+": permission denied")

	folder = t.TempDir()
	pt.Output(t, folder, binary)
	command := pt.ReadOnly(t, folder, binary)
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, command...), "Restored from checkpoint: "+pt.Prefix(saves, 1),
		"ckpt: saving "+pt.Prefix(saves, 2)+": create "+pt.Prefix(saves, 2)+": permission denied")
	unchanged(t, folder, before)
}
