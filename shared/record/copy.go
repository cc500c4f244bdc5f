package record

// Copy is copy, for a plaintext that lies where it was opened: behind a header, and so
// hardly ever at a multiple of 16 bytes. A caller's buffer mostly begins at one, and then
// the runtime moves 2 KiB or more with REP MOVSQ on some amd64, which takes five times as
// long as what it does otherwise: a tenth of the time to seal and open a record. Shorter
// pieces never go that way.
func Copy(to, plaintext []byte) int {
	const piece = 2<<10 - 1
	n := min(len(to), len(plaintext))
	for from := 0; from < n; from += piece {
		copy(to[from:n], plaintext[from:min(from+piece, n)])
	}
	return n
}
