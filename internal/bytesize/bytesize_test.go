package bytesize

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1000000": 1_000_000, "512KiB": 512 << 10, "4MiB": 4 << 20, "3GiB": 3 << 30, "0KiB": 0,
		"9223372036854775807": 1<<63 - 1,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q was read as %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "MiB", "-1", "-1MiB", "+1", "4 MiB", "4MB", "4mib", "4M", "4Mi", "4.5MiB", "1e6", "010", "0x10", "1_000", " 1",
		"4MiBKiB", "9223372036854775808", "9223372036854775807KiB",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for want, size := range map[string]Size{
		"0": 0, "1023": 1023, "1KiB": 1 << 10, "1025": 1<<10 + 1, "1536KiB": 1536 << 10, "4MiB": 4 << 20,
	} {
		if got := size.String(); got != want {
			t.Errorf("%d was written as %s, want %s", int64(size), got, want)
		}
		if again, err := Parse(want); err != nil || again != size {
			t.Errorf("%s was read as %d, %v", want, again, err)
		}
	}
}
