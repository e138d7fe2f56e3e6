package message

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecoderGivesWhatDecodePartGives(t *testing.T) {
	var stored [][]byte
	for _, text := range []string{
		"Subject: x\r\n\r\ny",
		"From: a@b, c@d\r\nTo: e@f\r\nContent-Language: de, en\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n\r\ny",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: g@h\r\n\r\ni\r\n--b--\r\n",
	} {
		p, err := Parse(FromBytes([]byte(text)), Limits{})
		require.NoError(t, err)
		data, err := p.AppendBinary(nil)
		require.NoError(t, err)
		stored = append(stored, data)
	}
	var d Decoder
	for range 5 {
		var got []*Part
		for i := range 300 {
			_, err := d.Decode(stored[i%3][:i%7]) // damaged
			require.ErrorIs(t, err, ErrBadIndex)
			p, err := d.Decode(stored[i%3])
			require.NoError(t, err)
			got = append(got, p)
		}
		for i, p := range got { // none was overwritten by those after it
			want, err := DecodePart(stored[i%3])
			require.NoError(t, err)
			require.Equal(t, want, p)
		}
		d.Reset()
	}
	first := testing.AllocsPerRun(10, func() { _, _ = DecodePart(stored[2]) })
	again := testing.AllocsPerRun(10, func() { d.Reset(); _, _ = d.Decode(stored[2]) })
	require.Less(t, again, first)
	require.LessOrEqual(t, again, 2.0)
}
