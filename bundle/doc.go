// Package bundle reads and writes tensor bundles, the files of a TensorFlow
// checkpoint (core/util/tensor_bundle).
//
// A checkpoint is named by its prefix P, such as "train/ckpt-3": the index
// P.index lists the tensors by key, and data files, the shards
// P.data-00000-of-00001 and so on, hold their bytes. An [Entry] says of what
// dtype and shape a tensor is and where its bytes are; a tensor may be stored
// in slices, each under an entry of its own. To this package a key is a string:
// it knows nothing of objects.
//
//	w, err := bundle.Create(ctx, bucket, "ckpt-1", nil)
//	defer w.Abort()
//	err = w.Add(ctx, "w", tensor.Float32, tensor.Shape{2}, chunks)
//	err = w.Commit(ctx)
//
//	r, err := bundle.Open(ctx, bucket, "ckpt-1", nil)
//	defer r.Close()
//	t, err := r.Tensor(ctx, "w")
//
// # Shards and slices
//
// A [Writer] makes one data file, or those a [Plan] asks for: a plan follows a
// [ShardPolicy], a limit for the size of files or groups of tensors, and cuts
// tensors where the limit needs it. A program that has parts of a tensor writes
// them with [Writer.AddSlice]. Checkpoints that several programs wrote become one
// with [Merge]. [Reader.Slice], [Reader.ReadSlice] and [Reader.VerifySlice] read
// part of a tensor, however it is stored.
//
// # Publication
//
// The index is the commit point: it is published when the data is durable, so
// a crash leaves a whole checkpoint or none. A prefix that exists is not
// replaced in place. Its files get second names, ".ckpt-undo." before the base
// of the prefix, the old index goes, the new data comes, then the new index,
// then the second names go. A crash in between is undone by [Recover]; until
// then [Open] reads the old checkpoint under the second names. [Remove] keeps
// the index as ".ckpt-gone." until the data is gone, and [Clean] takes away what
// a crash left, but nothing that such evidence does not prove to be ours. (A file
// system that keeps the name of new data in a power failure, and forgets that
// of the unpublished index made before it, loses the proof: that data stays.)
//
// # Memory
//
// Lengths in a file are compared with what is left of it before memory is
// allocated. What each decoder allocates is at most so many times the bytes it was
// given, and 1 MiB; a compressed block counts as what it decodes to. Tests measure
// this on the inputs that make the most of each byte.
//
//	decoder                                 times   test
//	wire.Decoder                                0   wire: TestDecoderMemory
//	table, a block, or a pass over all         16   table: TestBlockMemory
//	Snappy, of the compressed bytes            22   table: TestMemory, FuzzSnappy; at most MaxBlock: TestCeilingMemory
//	DecodeHeader, DecodeEntry, DecodeSliceKey  24   TestMessageMemory
//	Open and Entries, all of them kept         72   TestEntriesMemory
//	slices of a tensor, before it is read      64   TestSliceMemory
//	strings and variants, of their entry       40   TestElementMemory
//	Open of a V1 checkpoint                    72   TestV1ListMemory
//	Tensor and Slice of a V1 checkpoint        72   TestV1ValueMemory
//	objectgraph.Decode                         64   objectgraph: TestMemory
//	ckpt.ParseState                            64   ckpt: TestParseStateMemory
//
// A tensor of fixed-size dtype takes its size, which the data file must have; in
// a V1 checkpoint, where numbers are packed, the size in an entry is at most 192
// times that of the files. Open and Entries limit the names of all tensors and slices
// together, see [ReaderOptions]: keys share their beginnings in the file, and not in
// memory.
//
// # Deviations from TensorFlow
//
// Files are byte for byte what BundleWriter, MaxShardSizePolicy and
// MergeV2Checkpoints make for the same tensors in the same order. Writing differs
// where TensorFlow's files could not be read, or there would be none:
//
//   - Slices of a tensor that overlap are refused, also by Merge.
//   - A limit for the size of shards that no cut along one dimension reaches is
//     reached by cuts along several; TensorFlow would not return. Tensors without
//     elements are kept, and strings of any shape are measured.
//   - Merging counts data files, not what headers say, so inputs without tensors
//     do no harm. Inputs that this version could not read are refused.
//
// Reading is stricter or wider in these points:
//
//   - Every size is compared with the file before memory is allocated for it.
//   - A string or variant tensor must fill its entry's size exactly.
//   - The first key of an index must be the empty one.
//   - An entry whose shard the header does not have is refused by that reason.
//   - Slices of every dtype are joined; TensorFlow does float, double, int32 and
//     a few more.
//   - A slice is read without the rest of its tensor; stored slices that overlap
//     are noticed where they touch it.
//   - One-byte dtypes such as float8 and int4 are read from big-endian bundles,
//     where TensorFlow says that they are not implemented: one byte needs no
//     swapping.
//   - The only slice of a tensor may be all of it, spelled "-", and that of a
//     scalar may have no extents.
//   - The one element of an object graph may have the shape [1], and names in it
//     may be any bytes.
//   - A prefix is a name, never a pattern, but for the files of the format before
//     bundles (V1), which is read and not written: "export-?????-of-00002".
//   - Names of dimensions in an entry's shape are dropped when it is encoded
//     again. Nobody writes them.
package bundle

import "github.com/ckpt-go/ckpt/internal/fault"

// ErrCorrupt is the class of errors about files whose bytes are not what was
// written; ErrMismatch that of a dtype or size other than the caller's.
var (
	ErrCorrupt  = fault.ErrCorrupt
	ErrMismatch = fault.ErrMismatch
)

// CorruptError says where a checkpoint is damaged.
type CorruptError = fault.CorruptError
