package record

// Padding is how many zeros follow n bytes of content in a record of 1.3, so that
// together they are a multiple of block, but not more than most (RFC 9846 5.4).
// A block of zero pads nothing.
func Padding(n, block, most int) int {
	if block <= 1 {
		return 0
	}
	return max(0, min((block-n%block)%block, most-n))
}
