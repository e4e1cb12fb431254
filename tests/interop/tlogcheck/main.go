// Tlogcheck checks a published log (c2sp.org/tlog-tiles) with code that this project did not write:
// the note and tlog packages of the Go checksum database. What is here only maps files to them.
//
//	tlogcheck DIR ORIGIN VKEY
//
// It checks the checkpoint's signature and origin, hashes every entry again, compares the root and
// every tile with what was published, and proves and checks sampled entries and older sizes from the
// published tiles. It prints one line, and exits 0 if all of that holds and 1 if anything does not.
//
// Build: GO111MODULE=off GOPATH=/usr/share/gocode go build (Debian: golang-go,
// golang-golang-x-mod-dev).
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height  = 8 // of a C2SP tile: 256 hashes
	samples = 64
)

func main() {
	if len(os.Args) != 4 {
		fmt.Println("usage: tlogcheck DIR ORIGIN VKEY")
		os.Exit(1)
	}
	tree, err := check(folder(os.Args[1]), os.Args[2], os.Args[3])
	if err != nil {
		fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	fmt.Printf("ok: %d entries, root %v\n", tree.N, tree.Hash)
}

func check(dir folder, origin, vkey string) (tlog.Tree, error) {
	tree, err := dir.checkpoint(origin, vkey)
	if err != nil {
		return tree, err
	}
	if tree.N == 0 {
		return tree, errors.New("the log is empty: nothing was checked")
	}
	hashes, err := dir.hashEntries(tree.N)
	if err != nil {
		return tree, err
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return tree, err
	}
	if root != tree.Hash {
		return tree, fmt.Errorf("the entries have root %v; root %v was signed", root, tree.Hash)
	}
	tiles := tlog.NewTiles(height, 0, tree.N)
	for i, tile := range tiles {
		if i+1 < len(tiles) && tiles[i+1].L == tile.L && tiles[i+1].N == tile.N {
			continue // an earlier head may have needed this narrower one
		}
		want, err := tlog.ReadTileData(tile, hashes)
		if err != nil {
			return tree, err
		}
		if got, err := dir.read(tile); err != nil || !bytes.Equal(got, want) {
			return tree, fmt.Errorf("%s does not hold the hashes of the entries (%v)", path(tile), err)
		}
	}
	return tree, proofs(tree, hashes, tlog.TileHashReader(tree, dir))
}

// proofs proves sampled entries and older sizes from the published tiles alone, and checks each
// proof against the signed root and the hash or root that follows from the entries.
func proofs(tree tlog.Tree, entries, published tlog.HashReader) error {
	for i := int64(0); i < samples; i++ {
		n := i * tree.N / samples // among them 0
		if i == samples-1 {
			n = tree.N - 1
		}
		leaf, err := entries.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			return err
		}
		record, err := tlog.ProveRecord(tree.N, n, published)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, n, leaf[0]); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		old, err := tlog.TreeHash(n+1, entries)
		if err != nil {
			return err
		}
		growth, err := tlog.ProveTree(tree.N, n+1, published)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(growth, tree.N, tree.Hash, n+1, old); err != nil {
			return fmt.Errorf("the first %d entries: %w", n+1, err)
		}
	}
	return nil
}

// A folder is a published log: checkpoint, tile/L/N and tile/entries/N.
type folder string

// checkpoint returns the signed size and root; note.Open has checked the signature by then.
func (dir folder) checkpoint(origin, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	data, err := os.ReadFile(filepath.Join(string(dir), "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != origin || verifier.Name() != origin {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("not a size: %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// hashEntries reads every entry and returns all hashes of the tree over them.
func (dir folder) hashEntries(size int64) (tlog.HashReaderFunc, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if index < 0 || index >= int64(len(stored)) {
				return nil, fmt.Errorf("no hash %d", index)
			}
			found[i] = stored[index]
		}
		return found, nil
	})
	for first := int64(0); first < size; first += 1 << height {
		width := size - first
		if width > 1<<height {
			width = 1 << height
		}
		bundle := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}
		data, err := dir.read(bundle)
		if err != nil {
			return nil, err
		}
		for n := first; n < first+width; n++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s ends within entry %d", path(bundle), n)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			more, err := tlog.StoredHashesForRecordHash(n, tlog.RecordHash(data[2:end]), reader)
			if err != nil {
				return nil, err
			}
			stored, data = append(stored, more...), data[end:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("%s has %d bytes after its last entry", path(bundle), len(data))
		}
	}
	return reader, nil
}

func (dir folder) read(tile tlog.Tile) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(dir), path(tile)))
}

// path spells a tile as C2SP does: Go's tile/8/L/N is tile/L/N, and its data are the entries.
func path(tile tlog.Tile) string {
	name := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if rest := strings.TrimPrefix(name, "data/"); rest != name {
		return "tile/entries/" + rest
	}
	return "tile/" + name
}

// Height, ReadTiles and SaveTiles make a folder a tlog.TileReader.
func (dir folder) Height() int { return height }

func (dir folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := dir.read(tile)
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func (dir folder) SaveTiles([]tlog.Tile, [][]byte) {}
