package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// figure is something that is measured; goal says in words what it is to be, empty: it is only reported.
type figure struct{ name, unit, goal string }

// sample is one measurement of a figure.
type sample struct {
	figure *figure
	value  float64
}

// report holds the samples by figure, in the order in which the figures first came.
type report struct {
	figures   []*figure
	values    map[*figure][]float64
	discarded int
}

func newReport() *report { return &report{values: map[*figure][]float64{}} }

func (r *report) add(s sample) {
	if _, known := r.values[s.figure]; !known {
		r.figures = append(r.figures, s.figure)
	}
	r.values[s.figure] = append(r.values[s.figure], s.value)
}

// median of an even number of values is the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile returns the value below which the share q lies (nearest rank).
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// rounded writes a value with three significant digits, whole numbers whole.
func rounded(v float64) string {
	if math.Abs(v) >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func (r *report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tmedian\tmin\tmax\tunit\tgoal\trounds")
	for _, f := range r.figures {
		v := r.values[f]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", f.name, rounded(median(v)), rounded(slices.Min(v)),
			rounded(slices.Max(v)), f.unit, f.goal, len(v))
	}
	if r.discarded > 0 {
		fmt.Fprintf(w, "%d measurements discarded: too much of the CPU time was stolen\n", r.discarded)
	}
	return w.Flush()
}

func (r *report) writeJSON(out io.Writer) error {
	type line struct {
		Figure  string    `json:"figure"`
		Unit    string    `json:"unit"`
		Goal    string    `json:"goal,omitempty"`
		Median  float64   `json:"median"`
		Min     float64   `json:"min"`
		Max     float64   `json:"max"`
		Samples []float64 `json:"samples"`
	}
	lines := []line{}
	for _, f := range r.figures {
		v := r.values[f]
		lines = append(lines, line{f.name, f.unit, f.goal, median(v), slices.Min(v), slices.Max(v), v})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Figures   []line `json:"figures"`
		Discarded int    `json:"discarded"`
	}{lines, r.discarded})
}
