// Package table reads and writes the sorted-table file behind the .index of a
// checkpoint and behind whole V1 checkpoints: TensorFlow's variant of
// LevelDB's table. A table maps keys to values, both bytes, in the order of the
// keys' bytes; entries lie in blocks, each with a checksum, and an index block
// tells which block to search.
//
// The writer gives the bytes TensorFlow's gives, block boundaries and
// shortened index keys included. The reader accepts what TensorFlow's accepts,
// Snappy blocks too, except that it refuses what no writer makes: keys out of
// order, blocks out of order, restart points that are none.
package table
