package record

import "testing"

func TestPadding(t *testing.T) {
	for _, test := range []struct{ n, block, most, want int }{
		{100, 0, 1 << 14, 0},
		{100, 1, 1 << 14, 0},
		{100, 64, 1 << 14, 28},
		{128, 64, 1 << 14, 0},
		{0, 64, 1 << 14, 0},
		{1, 1 << 14, 1 << 14, 1<<14 - 1},
		{100, 64, 120, 20},
		{100, 64, 100, 0},
		{100, 64, 99, 0}, // no less than it is
	} {
		if got := Padding(test.n, test.block, test.most); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
