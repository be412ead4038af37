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
	enc     = "encoder_checkpoints"
	dec     = "decoder_checkpoints"
	scratch = "No checkpoint found, starting from scratch."
	losses  = "Encoder loss: …"
)

func TestProgram(t *testing.T) {
	binary := pt.Build(t)
	for name, test := range map[string]func(*testing.T, string){
		"runs": runs, "killed": killed, "newest damaged": newestDamaged, "one damaged": oneDamaged, "one missing": oneMissing,
		"other side": otherSide, "Keras 2": keras2, "strangers": strangers, "no folder": noFolder, "read-only": readOnly,
	} {
		t.Run(name, func(t *testing.T) { test(t, binary) })
	}
}

func restored(folder string, number int) string {
	return "Restored from checkpoint: " + pt.Prefix(folder, number)
}

func saved(folder string, number int) string {
	return "Saved checkpoint at: " + pt.Prefix(folder, number)
}

func kernel(folder string) string { return folder[:len("encoder")] + "/dense/_kernel" }

// wantSteps is the number of steps that an optimizer made.
func wantSteps(t *testing.T, dir string, want int64) {
	t.Helper()
	if got := pt.SavedStep(t, dir, "optimizer/_iterations"); got != want {
		t.Errorf("%s: got %d steps, want %d", filepath.Base(dir), got, want)
	}
}

// wantOn is a model that went on from a checkpoint to another.
func wantOn(t *testing.T, folder, saves string, older, newer int) {
	t.Helper()
	dir := filepath.Join(folder, saves)
	pt.WantStep(t, pt.Prefix(dir, older), pt.Prefix(dir, newer), kernel(saves), 0.002)
}

// runs lets the program run seven times: each goes on from the one before.
func runs(t *testing.T, binary string) {
	folder := t.TempDir()
	pt.WantLines(t, pt.Output(t, folder, binary), scratch, scratch, losses, saved(enc, 1), saved(dec, 1))
	for n := 2; n <= 7; n++ {
		pt.WantLines(t, pt.Output(t, folder, binary), restored(enc, n-1), restored(dec, n-1), losses, saved(enc, n), saved(dec, n))
		for _, saves := range []string{enc, dec} {
			wantOn(t, folder, saves, n-1, n)
			wantSteps(t, filepath.Join(folder, saves), int64(n))
		}
	}
	for _, saves := range []string{enc, dec} {
		pt.WantCheckpoints(t, filepath.Join(folder, saves), 3, 4, 5, 6, 7)
		pt.WantLatest(t, filepath.Join(folder, saves), 7)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("the program left %v, %v, want its checkpoints only", entries, err)
	}
}

func killed(t *testing.T, binary string) {
	p := &pt.Short{Binary: binary, Folder: t.TempDir(), Saves: []string{enc, dec}, Lines: 5, Longest: 10 * time.Millisecond}
	p.Kill(t, 20)
	pt.WantWords(t, pt.Output(t, p.Folder, binary), "Restored from checkpoint: "+enc, "Restored from checkpoint: "+dec)
	for _, saves := range p.Saves {
		dir := filepath.Join(p.Folder, saves)
		if n := pt.WantGood(t, dir); n > 5 || len(pt.Files(t, dir)) != 2*n+1 {
			t.Errorf("%s: %d checkpoints in %d files, want at most 5, and nothing else but the state file", saves, n, len(pt.Files(t, dir)))
		}
	}
}

// newestDamaged lets each of the two go back to the checkpoint before.
func newestDamaged(t *testing.T, binary string) {
	for _, damaged := range []string{enc, dec} {
		t.Run(damaged, func(t *testing.T) {
			folder := t.TempDir()
			pt.Output(t, folder, binary)
			pt.Output(t, folder, binary)
			pt.Damage(t, pt.Data(pt.Prefix(filepath.Join(folder, damaged), 2)))
			var want []string
			for _, saves := range []string{enc, dec} {
				if saves == damaged {
					want = append(want, "refused "+pt.Prefix(saves, 2)+": "+pt.Data("ckpt-2")+`: tensor "optimizer/_variables/2/.ATTRIBUTES/VARIABLE_VALUE": …`, restored(saves, 1))
				} else {
					want = append(want, restored(saves, 2))
				}
			}
			pt.WantLines(t, pt.Output(t, folder, binary), append(want, losses, saved(enc, 3), saved(dec, 3))...)
			wantOn(t, folder, damaged, 1, 3)
			wantSteps(t, filepath.Join(folder, damaged), 2)
		})
	}
}

// damages are ways to spoil every checkpoint of a folder.
var damages = map[string]func(t *testing.T, prefix string){
	"bit":      func(t *testing.T, prefix string) { pt.Damage(t, pt.Data(prefix)) },
	"index":    func(t *testing.T, prefix string) { pt.Damage(t, prefix+".index") },
	"no data":  func(t *testing.T, prefix string) { pt.Remove(t, pt.Data(prefix)) },
	"no index": func(t *testing.T, prefix string) { pt.Remove(t, prefix+".index") },
}

// oneDamaged damages all checkpoints of one of the two: the other goes on, and
// the damaged one says so, starts from scratch and saves above its old numbers.
func oneDamaged(t *testing.T, binary string) {
	for _, damaged := range []string{enc, dec} {
		for name, damage := range damages {
			t.Run(damaged+" "+name, func(t *testing.T) {
				folder := t.TempDir()
				dir := filepath.Join(folder, damaged)
				for n := 1; n <= 2; n++ {
					pt.Output(t, folder, binary)
				}
				for n := 1; n <= 2; n++ {
					damage(t, pt.Prefix(dir, n))
				}
				var want []string
				for _, saves := range []string{enc, dec} {
					if saves != damaged {
						want = append(want, restored(saves, 2))
						continue
					}
					want = append(want, "ckpt: "+saves+" holds no checkpoint that can be used. …",
						"  refused "+pt.Prefix(saves, 2)+": ckpt-2.…", "  refused "+pt.Prefix(saves, 1)+": ckpt-1.…",
						"Starting from scratch with "+saves+" all the same; new checkpoints get higher numbers.")
				}
				pt.WantLines(t, pt.Output(t, folder, binary), append(want, losses, saved(enc, 3), saved(dec, 3))...)
				wantSteps(t, dir, 1)
				pt.WantLines(t, pt.Output(t, folder, binary), restored(enc, 3), restored(dec, 3), losses, saved(enc, 4), saved(dec, 4))
				wantOn(t, folder, damaged, 3, 4)
				wantSteps(t, dir, 2)
			})
		}
	}
}

// oneMissing removes the folder of one of the two: the other goes on.
func oneMissing(t *testing.T, binary string) {
	for _, missing := range []string{enc, dec} {
		t.Run(missing, func(t *testing.T) {
			folder := t.TempDir()
			pt.Output(t, folder, binary)
			pt.Output(t, folder, binary)
			pt.Remove(t, filepath.Join(folder, missing))
			want := []string{restored(enc, 2), scratch, losses, saved(enc, 3), saved(dec, 1)}
			goes := dec
			if missing == enc {
				want = []string{scratch, restored(dec, 2), losses, saved(enc, 1), saved(dec, 3)}
			} else {
				goes = enc
			}
			pt.WantLines(t, pt.Output(t, folder, binary), want...)
			wantOn(t, folder, goes, 2, 3)
			wantSteps(t, filepath.Join(folder, missing), 1)
		})
	}
}

// fails lets the program fail with lines of which the last may end in …, and
// change nothing.
func fails(t *testing.T, folder, binary string, want ...string) {
	t.Helper()
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, binary), want...)
	if !maps.Equal(pt.Files(t, folder), before) {
		t.Error("the program changed files")
	}
}

// otherSide puts the checkpoints of one where those of the other belong. Resume
// says so, although the model has no variables yet.
func otherSide(t *testing.T, binary string) {
	for from, to := range map[string]string{enc: dec, dec: enc} {
		t.Run(from, func(t *testing.T) {
			folder := t.TempDir()
			pt.Output(t, folder, binary)
			pt.Remove(t, filepath.Join(folder, to))
			pt.Copy(t, filepath.Join(folder, to), filepath.Join(folder, from))
			model, other := strings.TrimSuffix(to, "_checkpoints"), strings.TrimSuffix(from, "_checkpoints")
			var want []string
			if to == dec {
				want = append(want, restored(enc, 1))
			}
			fails(t, folder, binary, append(want,
				fmt.Sprintf("ckpt: %s does not know 1 object of the program, nothing was restored: (root).%s; it has (root).%s.dense._kernel, (root).%s.dense.bias…",
					pt.Prefix(to, 1), model, other, other))...)
		})
	}
}

// keras2 puts an encoder's checkpoint there that Keras 2 wrote: its kernel is
// called otherwise.
func keras2(t *testing.T, binary string) {
	folder := t.TempDir()
	dense := pt.Keras2Dense(t, "encoder/dense", 10, 64)
	pt.SaveAs(t, filepath.Join(folder, enc), ckpt.Objects{"encoder": pt.Node(t, "dense", dense), "optimizer": pt.Keras2Adam(t, dense)})
	fails(t, folder, binary, restored(enc, 1), scratch,
		"ckpt: "+pt.Prefix(enc, 1)+", from which this program resumed, has no values for 1 object that appeared now: (root).encoder.dense._kernel; "+
			"it has (root).encoder.dense.kernel there: is it a checkpoint of another model, optimizer or version of Keras? To let these objects keep the values they have, …")
}

// strangers puts checkpoints of other programs there.
func strangers(t *testing.T, binary string) {
	misfit := "ckpt: encoder_checkpoints/ckpt-%d has no values for 2 objects of the program, nothing was restored: (root).optimizer._iterations, …"
	for name, want := range map[string][]string{
		"keras2-legacy-adam-slots": {fmt.Sprintf(misfit, 133)},
		"keras3-train-checkpoint":  {fmt.Sprintf(misfit, 1)},
		"keras2-new-optimizer-savedmodel": {"ckpt: encoder_checkpoints holds no checkpoint that can be used. …",
			"  refused " + filepath.Join(enc, "variables") + ": ckpt: " + filepath.Join(enc, "variables") + " does not know 1 object of the program, nothing was restored: (root).encoder; …"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			pt.Copy(t, filepath.Join(folder, enc), pt.Strangers(t, name))
			fails(t, folder, binary, want...)
		})
	}
}

// noFolder puts a file where a folder belongs.
func noFolder(t *testing.T, binary string) {
	folder := t.TempDir()
	pt.Output(t, folder, binary)
	pt.Remove(t, filepath.Join(folder, dec))
	if err := os.WriteFile(filepath.Join(folder, dec), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	fails(t, folder, binary, restored(enc, 1), "ckpt: directory "+dec+": list "+dec+": not a directory")
}

func readOnly(t *testing.T, binary string) {
	folder := t.TempDir()
	fresh := pt.ReadOnly(t, folder, binary)
	pt.WantLines(t, pt.Fails(t, folder, fresh...), scratch, scratch, losses,
		"ckpt: saving "+pt.Prefix(enc, 1)+": create "+enc+": making folder "+enc+": permission denied")

	folder = t.TempDir()
	pt.Output(t, folder, binary)
	command := pt.ReadOnly(t, folder, binary)
	before := pt.Files(t, folder)
	pt.WantLines(t, pt.Fails(t, folder, command...), restored(enc, 1), restored(dec, 1), losses,
		"ckpt: saving "+pt.Prefix(enc, 2)+": create "+pt.Prefix(enc, 2)+": permission denied")
	if !maps.Equal(pt.Files(t, folder), before) {
		t.Error("the program changed files")
	}
}
