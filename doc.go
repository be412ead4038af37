// Package ckpt saves and restores the state of a program as TensorFlow's
// training checkpoints: the files tf.train.Checkpoint writes, byte for byte,
// without TensorFlow.
//
// A Checkpoint holds named objects. Objects are Trackables: they list their
// children by name, and so form a graph that begins at the root. A Saveable is
// an object that also has values, each of which is one tensor; a Variable is the
// usual one, a Node or a List holds children only, and Track makes one of a
// struct. Saving writes a few files that share a prefix, such as
// training/ckpt-7: an index (.index) and the data (.data-00000-of-00001), with
// the graph as one more tensor. Restoring follows the edges of the stored and
// the live graph side by side; names of edges must agree, variables' own names
// need not. Values whose object does not exist yet wait, and are set the
// moment it is tracked. A RestoreStatus tells what found no counterpart. A
// Manager numbers the checkpoints of a directory, keeps some, notes the latest
// in the state file called checkpoint, and resumes from the newest good one. A
// Reader looks into a checkpoint without any objects.
//
// A whole program, which goes on where it was stopped:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"github.com/ckpt-go/ckpt"
//	)
//
//	type state struct {
//		Step    int64     `ckpt:"step"`
//		Weights []float32 `ckpt:"weights"`
//	}
//
//	func main() {
//		ctx := context.Background()
//		s := state{Weights: make([]float32, 10)}
//		checkpoint := ckpt.New(ckpt.Objects{"state": ckpt.Track(&s)})
//		manager, err := ckpt.NewManager(checkpoint, "training_checkpoints", &ckpt.ManagerOptions{MaxToKeep: 5})
//		if err != nil {
//			log.Fatal(err)
//		}
//		resumed, err := manager.Resume(ctx, nil) // Prefix is "" on the first run
//		if err != nil {
//			log.Fatal(err)
//		}
//		for _, refused := range resumed.Refused {
//			log.Print(refused)
//		}
//		for s.Step < 1000 {
//			s.Step++
//			for i := range s.Weights {
//				s.Weights[i] += 0.1
//			}
//			if s.Step%100 == 0 {
//				prefix, err := manager.Save(ctx, nil) // durable when it returns
//				if err != nil {
//					log.Fatal(err)
//				}
//				fmt.Println("saved", prefix)
//			}
//		}
//	}
//
// # Concurrency and ownership
//
// One goroutine at a time uses a Checkpoint with its objects, its RestoreStatus
// and its Manager; Variables, Structs and Nodes have no locks. A Reader may be
// shared. Options and what describes something (VariableInfo, Found, Refusal …)
// are plain data, which is safe to read from several goroutines. Slices that a
// call returns belong to the caller, unless its comment says that they are live.
//
// # Background saves
//
// With SaveOptions.Background a save holds everything as it is at that moment, in
// one cut, and returns; the writing goes on beside the program, at most one at a
// time. Values that are replaced and never changed, such as those of keras, are
// held by reference, others are copied. Wait tells when the files are durable.
// Latest, Checkpoints and the other methods show and use durable checkpoints only,
// and those that read or write wait first. TensorFlow reads late-made variables
// and PythonState while its writer runs, and counts such saves apart.
//
// # Errors
//
// Errors have three classes, asked for with errors.Is: ErrCorrupt, ErrMismatch
// and ErrNoCheckpoint. CorruptError, MismatchError and UnmatchedError carry the
// facts. Missing files are fs.ErrNotExist, formats of the future
// errors.ErrUnsupported. Constructors panic on mistakes in the program, where
// their comment says so; nothing that comes from a file does.
//
// # Deviations from TensorFlow
//
// Files are the same; beside them is <prefix>.meta.json where there is something
// to say, see [Metadata]. These behaviours differ on purpose:
//
//   - A restore sets every value or none. TensorFlow assigns one by one, so a
//     shape that differs leaves a mixture.
//   - When tracking an object fails because a waiting value does not fit, the
//     value waits on.
//   - Saving while restored values still wait is an error that names them;
//     TensorFlow leaves them out without a word. See SaveOptions.DropWaiting.
//   - What waits is bound to the checkpoint it came from: one that took its name
//     since is an error.
//   - Attribute names with "." or "/" are refused; TensorFlow writes them and
//     cannot restore them.
//   - A path that ends in .index or .data-… means its checkpoint. TensorFlow
//     restores nothing from the first, silently.
//   - Lists only grow: TensorFlow refuses to save a list whose elements moved.
//     Keys of a Map are never deleted; TensorFlow goes on saving them as ghosts.
//   - A Table keeps the order of the program or of the file; TensorFlow's tables
//     have their own.
//   - A value that does not fit is an error where it waits in a list or map, too.
//   - RestoreNodes sets all nodes or none. RestoreOptions.Rename, Cast and Only
//     have no counterpart.
//   - What Save returned is on the disk, an existing checkpoint of that name is
//     replaced whole or not at all, and a save that fails leaves no files.
//   - A Manager numbers above every number in its directory instead of
//     overwriting after a rewind, saves whenever Save is called, and removes
//     nothing outside its directory or under other names.
//   - A save that failed stays due; Save saves twice at one step. Damaged
//     checkpoints do not count as kept and go first.
//   - Retention keeps checkpoints that are in use or from which values still wait.
//   - A restore of the same objects takes the place of one that still waits; the
//     older status then speaks of the newer one. Its checks look at the objects of
//     now. What gets no value from a file needs no file when it appears late.
//   - It is an error that a root got another object under a name NewRooted was
//     given. A Checkpoint whose root is a Checkpoint counts with that one's counter.
//   - A save counter made for a root takes the newest value that waits, in
//     TensorFlow the oldest, or none. NewRooted compares objects, not values.
//   - A restored object that keeps no slots is passed over, whenever it appears; a
//     slot that a SlotOwner makes itself takes what waits at RestoreStatus.Fill.
//   - While a Manager saves into a directory other processes are refused there.
//   - Iterate also yields a checkpoint that was written again under its name, and
//     waits a short Timeout out, with a last look.
//   - Preemption restores nothing and adds no variable.
//   - Remove of a checkpoint that is not there, or in use, is an error. So is
//     Reader.KeyOf of a full name that several variables have; TensorFlow takes
//     the last.
//   - NewState makes paths relative to the directory once, TensorFlow twice.
//   - A Manager keeps its list when the clock went back, putting
//     last_preserved_timestamp below the listed times, or when the state file
//     has fewer time stamps than paths; TensorFlow forgets checkpoints then.
//   - Manager.Resume passes damaged checkpoints over and needs no state file. A
//     state file that does not parse is an error, not "no checkpoint"; one with
//     escaped bytes that are no UTF-8 does parse.
//   - Directories and prefixes may contain *, ? and [ ].
//   - Symbolic links that lead out of a checkpoint's folder are refused; see
//     OpenOptions.FollowLinks, or give a storage/local Bucket that follows them.
package ckpt
