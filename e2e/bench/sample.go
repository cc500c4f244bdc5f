package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A sample is what one turn of a task came to.
type sample map[quantity]float64

// String is how processes tell each other: "cost 1204 floor 623".
func (s sample) String() string {
	var words []string
	for q, v := range s {
		words = append(words, fmt.Sprintf("%s %g", q, v))
	}
	return strings.Join(words, " ")
}

// parseSample reads what String wrote.
func parseSample(line string) (sample, error) {
	s, words := sample{}, strings.Fields(line)
	for len(words) >= 2 {
		v, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			break
		}
		s[quantity(words[0])] = v
		words = words[2:]
	}
	if len(s) == 0 || len(words) > 0 {
		return nil, fmt.Errorf("not a sample: %q", line)
	}
	return s, nil
}
