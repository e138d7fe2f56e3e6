package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// decode decodes all of src in pieces of step octets, into room octets at a time.
func decode(src []byte, step, room int) (out []byte, err error) {
	var d Decoder
	dst := make([]byte, room)
	for {
		piece := src[:min(step, len(src))]
		src = src[len(piece):]
		for {
			nd, ns, err := d.Decode(dst, piece)
			out, piece = append(out, dst[:nd]...), piece[ns:]
			if err != nil {
				return out, err
			}
			if nd < room {
				break
			}
		}
		if len(piece) > 0 {
			return out, errors.New("input was left although there was room")
		}
		if len(src) == 0 {
			return out, nil
		}
	}
}

func deflated(t testing.TB, level int, pieces ...[]byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	require.NoError(t, err)
	for _, p := range pieces {
		_, err = w.Write(p)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	return b.Bytes()
}

func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise, words := make([]byte, 100_000), make([]byte, 0, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for len(words) < 200_000 {
		words = append(words, strings.Repeat("ab", r.IntN(9))+" FETCH (FLAGS (\\Seen))\r\n"[r.IntN(10):]...)
	}
	skewed := make([]byte, 0, 60_000) // makes long codes
	for i := range 256 {
		skewed = append(skewed, bytes.Repeat([]byte{byte(i)}, 1<<(i%15))...)
	}
	r.Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	return map[string][]byte{
		"nothing": {}, "one": {'x'}, "text": []byte(strings.Repeat("a NOOP\r\n", 50)), "noise": noise, "words": words, "skewed": skewed,
		"far": append(append(bytes.Clone(noise[:32768]), noise[:1000]...), noise[:40_000]...),
	}
}

func TestDecodesWhatTheLibraryEncodes(t *testing.T) {
	for name, text := range samples() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
			half := len(text) / 2
			z := deflated(t, level, text[:half], text[half:])
			for _, step := range []int{1, 7, 1 << 20} {
				got, err := decode(z, step, 4096)
				require.NoError(t, err, name)
				require.True(t, bytes.Equal(text, got), "%s, level %d, step %d", name, level, step)
			}
		}
	}
}

func TestGivesOutEverythingAsSoonAsItIsThere(t *testing.T) {
	text := []byte("a1 UID FETCH 1:* (FLAGS)\r\n")
	for level := -2; level <= 9; level++ {
		var d Decoder
		dst := make([]byte, 100)
		for range 300 {
			n, _, err := d.Decode(dst, deflated(t, level, text))
			require.NoError(t, err)
			require.Equal(t, string(text), string(dst[:n]))
		}
	}
}

// What zlib's partial flush writes: a block, and an empty one of ten bits that
// ends inside of an octet.
func TestPartialFlushNeedsNoWholeOctets(t *testing.T) {
	var w bitWriter
	var d Decoder
	dst := make([]byte, 100)
	for _, text := range []string{"a NOOP\r\n", "b", "c NOOP\r\n", ""} {
		w.fixedBlock(text)
		w.fixedBlock("")
		n, _, err := d.Decode(dst, w.whole())
		require.NoError(t, err)
		require.Equal(t, text, string(dst[:n]))
	}
}

// bitWriter writes blocks with the fixed code.
type bitWriter struct {
	bits uint64
	n    uint
	b    []byte
}

func (w *bitWriter) put(v uint64, n uint) {
	w.bits |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.bits))
		w.bits >>= 8
	}
}

func (w *bitWriter) fixedBlock(text string) {
	w.put(0b010, 3)
	for _, c := range []byte(text) { // all below 144
		code := uint64(0)
		for i := range 8 {
			code |= uint64((0x30+c)>>(7-i)&1) << i
		}
		w.put(code, 8)
	}
	w.put(0, 7)
}

// whole returns the octets that are complete.
func (w *bitWriter) whole() []byte {
	b := w.b
	w.b = nil
	return b
}

func TestTheLastBlockIsTheEnd(t *testing.T) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	_, _ = w.Write([]byte("bye"))
	require.NoError(t, w.Close())
	got, err := decode(b.Bytes(), 1, 10)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "bye", string(got))
}

func TestI30ABombIsCutOff(t *testing.T) {
	z := deflated(t, 9, make([]byte, 64<<20))
	var d Decoder
	dst, total := make([]byte, 16<<10), 0
	for {
		nd, ns, err := d.Decode(dst, z)
		z, total = z[ns:], total+nd
		if err != nil {
			require.ErrorIs(t, err, ErrTooMuch)
			break
		}
	}
	require.Less(t, total, 2*Allowance)
	_, _, err := d.Decode(dst, z)
	require.ErrorIs(t, err, ErrTooMuch)
}

func TestHonestTextIsNeverTooMuch(t *testing.T) {
	line := strings.Repeat("A", 76) + "\r\n"
	got, err := decode(deflated(t, 9, []byte(strings.Repeat(line, 3<<20/78))), 4096, 16<<10)
	require.NoError(t, err)
	require.Len(t, got, 3<<20/78*78)
}

func TestHistoryIsAsLongAsTheOutput(t *testing.T) {
	var d Decoder
	dst := make([]byte, 4096)
	_, _, err := d.Decode(dst, deflated(t, 6, []byte("a NOOP\r\n")))
	require.NoError(t, err)
	require.Len(t, d.history.ring, firstHistory)
	_, err = decode(deflated(t, 1, make([]byte, 100_000)), 100, 1000)
	require.NoError(t, err)
}

func TestCorruptInputIsRefused(t *testing.T) {
	for name, z := range map[string][]byte{
		"reserved kind":       {0x07},
		"stored length":       {0, 5, 0, 5, 0, 'h', 'e', 'l', 'l', 'o'},
		"too many codes":      {0xfd, 0xff, 0xff},
		"before the history":  {0x4b, 0x04, 0x92, 0x00, 0xff, 0xff},
		"not deflate at all":  []byte("a NOOP\r\nb NOOP\r\nc NOOP\r\n"),
		"a header as of zlib": {0x78, 0x9c, 0x4b, 0x04, 0x00},
	} {
		_, err := decode(z, 1, 100)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
}

// FuzzDecode compares with the library: the same output, and an error where it
// has one, whatever the size of the pieces.
func FuzzDecode(f *testing.F) {
	for _, text := range samples() {
		f.Add(deflated(f, 6, text[:min(len(text), 3000)]), byte(3))
		f.Add(deflated(f, flate.HuffmanOnly, text[:min(len(text), 300)]), byte(1))
	}
	f.Add([]byte{0x4b, 0x04, 0x02, 0x00, 0xff}, byte(1))
	f.Fuzz(func(t *testing.T, z []byte, step byte) {
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(z)), Allowance+1))
		if len(want) > Allowance {
			return
		}
		got, err := decode(z, int(step)+1, 1000)
		var corrupt flate.CorruptInputError
		switch {
		case wantErr == nil:
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, string(want), string(got))
		case errors.As(wantErr, &corrupt):
			if err == nil { // it may need a few bits more to be sure
				_, err = decode(append(bytes.Clone(z), 0, 0, 0, 0), 100, 1000)
			}
			require.ErrorIs(t, err, ErrCorrupt)
			require.True(t, bytes.HasPrefix(got, want) || bytes.HasPrefix(want, got))
		case err != nil: // it saw earlier that nothing can follow
			require.ErrorIs(t, err, ErrCorrupt)
			for _, more := range []byte{0, 0xff} {
				_, wantErr := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(append(bytes.Clone(z), bytes.Repeat([]byte{more}, 400)...))))
				require.ErrorAs(t, wantErr, &corrupt)
			}
		default:
			require.True(t, bytes.HasPrefix(got, want), "it gives out at least as much")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := samples()["words"]
	z := deflated(b, 6, text)
	b.Run("ours", func(b *testing.B) {
		dst := make([]byte, 16<<10)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var d Decoder
			for src := z; ; {
				nd, ns, err := d.Decode(dst, src)
				if src = src[ns:]; err != nil || nd < len(dst) {
					break
				}
			}
		}
	})
	b.Run("compress/flate", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_, _ = io.Copy(io.Discard, flate.NewReader(bytes.NewReader(z)))
		}
	})
}
