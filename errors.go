package ckpt

import "github.com/ckpt-go/ckpt/internal/fault"

// The classes of errors: ask with errors.Is.
var (
	// ErrCorrupt says that bytes on disk are not what was written.
	ErrCorrupt = fault.ErrCorrupt
	// ErrMismatch says that program and checkpoint do not fit each other.
	ErrMismatch = fault.ErrMismatch
	// ErrNoCheckpoint says that there is nothing to restore.
	ErrNoCheckpoint = fault.ErrNoCheckpoint
)

// CorruptError tells where a checkpoint is damaged: File (its name), Key (the
// tensor, "" if none), Offset and Length (bytes in the file, −1 if unknown),
// Kind, and Err, the cause; Explanation, if VerifyOptions.Explain asked for it.
type CorruptError = fault.CorruptError

// Explanation is what a checksum says of damaged bytes: Flips, the single bits
// each of which explains it, and Chance, the probability that other damage, of an
// odd number of bits, looks like one of them.
type Explanation = fault.Explanation

// Flip is one bit: File, Offset of its byte (−1 if it is that of a checksum in
// the index), Bit (0 is the least significant), and whether it is a bit of the
// Checksum, and the data is right.
type Flip = fault.Flip

// MismatchError tells that one value does not fit: Key (in the checkpoint), Want
// (what the program has, such as "float32 [3]"), Got (what the checkpoint has),
// and Err, what differs.
type MismatchError = fault.MismatchError

// UnmatchedError lists objects or values without a counterpart: Reason, Names
// (object paths such as (root).model.dense), and Hint, what to do.
type UnmatchedError = fault.UnmatchedError

// Kind names what is wrong; the list is closed.
type Kind = fault.Kind

// The kinds of damage, as `ckpt verify --json` prints them.
const (
	KindMissing     = fault.KindMissing     // a file that is named does not exist
	KindUnreadable  = fault.KindUnreadable  // the system refuses to read it
	KindTruncated   = fault.KindTruncated   // a file ends before the bytes it should hold
	KindChecksum    = fault.KindChecksum    // bytes differ from their CRC-32C
	KindFormat      = fault.KindFormat      // a file is not a table, or a message does not parse
	KindEntry       = fault.KindEntry       // an index entry contradicts itself or the header
	KindOverlap     = fault.KindOverlap     // two entries claim the same bytes
	KindGraph       = fault.KindGraph       // the object graph does not parse or points nowhere
	KindState       = fault.KindState       // the state file cannot be used
	KindUnsupported = fault.KindUnsupported // a format or version this library does not read
)
