package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []float64
		want   float64
	}{
		"of one":              {[]float64{7}, 7},
		"of an odd number":    {[]float64{9, 1, 4}, 4},
		"of an even number":   {[]float64{8, 2, 4, 1}, 3},
		"beside an outlier":   {[]float64{1, 1_000_000, 2}, 2},
		"of equal values":     {[]float64{5, 5, 5, 5}, 5},
		"of negative numbers": {[]float64{-1, -3}, -2},
	} {
		given := slices.Clone(c.values)
		if got := median(c.values); got != c.want {
			t.Errorf("median %s: %v, want %v", name, got, c.want)
		}
		if !slices.Equal(given, c.values) {
			t.Errorf("median %s: it sorted the values that it was given", name)
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		sorted  []float64
		q, want float64
	}{
		{hundred, 0, 1}, {hundred, .5, 50}, {hundred, .95, 95}, {hundred, .99, 99}, {hundred, 1, 100},
		{[]float64{3}, .5, 3}, {[]float64{3}, .99, 3}, {[]float64{1, 2, 3}, .5, 2}, {[]float64{1, 2}, .99, 2},
	} {
		if got := quantile(c.sorted, c.q); got != c.want {
			t.Errorf("quantile %v of %d values: %v, want %v", c.q, len(c.sorted), got, c.want)
		}
	}
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 3: "3", 0.4213: "0.421", 0.00012345: "0.000123", 2.345: "2.35", 99.96: "100", 100.4: "100", 12345.6: "12346",
		1e6: "1000000", 1e7 + .5: "10000000", -0.5: "-0.5", -1234.4: "-1234",
	} {
		if got := rounded(v); got != want {
			t.Errorf("rounded(%v) = %q, want %q", v, got, want)
		}
	}
}
