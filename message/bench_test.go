package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// multipartMessage returns a message as clients send them: trace and list
// fields, a text and an HTML part, and an attachment that makes it size octets.
func multipartMessage(size int) []byte {
	var b bytes.Buffer
	for i := range 4 {
		fmt.Fprintf(&b, "Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n\tby in.example.org with ESMTPS id 4XyZ%d; Tue, 4 Mar 2025 10:0%d:00 +0100\r\n", i, i, i, i, i)
	}
	b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=sel;\r\n\th=from:to:subject:date; bh=" + strings.Repeat("A", 43) + "=;\r\n\tb=" + strings.Repeat("B", 340) + "\r\n")
	b.WriteString("From: =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen.mueller@example.net>\r\n" +
		"To: \"Doe, Jane\" <jane@example.org>, Max Mustermann <max@example.org>\r\nCc: team@example.org\r\n" +
		"Subject: Quarterly report\r\nDate: Tue, 4 Mar 2025 10:00:00 +0100\r\nMessage-ID: <0123456789abcdef@example.net>\r\n" +
		"In-Reply-To: <fedcba9876543210@example.org>\r\nReferences: <fedcba9876543210@example.org>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=\"----=_Part_123_456789.1741078800\"\r\n\r\n" +
		"------=_Part_123_456789.1741078800\r\nContent-Type: multipart/alternative; boundary=\"----=_Part_124_alt\"\r\n\r\n" +
		"------=_Part_124_alt\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	line := "A line of text as people write them, neither long nor short, about.\r\n"
	b.WriteString(strings.Repeat(line, max(1, size/10/len(line))))
	b.WriteString("\r\n------=_Part_124_alt\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	b.WriteString(strings.Repeat("<p>"+line, max(1, size/5/len(line))))
	b.WriteString("\r\n------=_Part_124_alt--\r\n\r\n------=_Part_123_456789.1741078800\r\n" +
		"Content-Type: application/pdf; name=\"report.pdf\"\r\nContent-Disposition: attachment; filename=\"report.pdf\"; size=30000\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	rnd := rand.NewChaCha8([32]byte{})
	octets := make([]byte, 57)
	for b.Len() < size {
		rnd.Read(octets)
		b.WriteString(base64.StdEncoding.EncodeToString(octets) + "\r\n")
	}
	b.WriteString("\r\n------=_Part_123_456789.1741078800--\r\n")
	return b.Bytes()
}

// countLines is the least that any parser must do: find the lines.
func countLines(b []byte) (n int) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return n
		}
		b = b[i+1:]
		n++
	}
}

// reader hides that a body is in memory.
type reader struct{ Body }

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{3 << 10, 50 << 10, 5 << 20} {
		msg := multipartMessage(size)
		for _, kind := range []struct {
			name string
			body Body
		}{{"memory", FromBytes(msg)}, {"file", reader{FromBytes(msg)}}} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, kind.name), func(b *testing.B) {
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Parse(kind.body, Limits{}); err != nil {
						b.Fatal(err)
					}
				}
				reportScanRatio(b, msg)
			})
		}
	}
}

// reportScanRatio prints how long the benchmark's step takes in scans of the
// message's lines.
func reportScanRatio(b *testing.B, msg []byte) {
	b.StopTimer()
	step := float64(b.Elapsed()) / float64(b.N)
	rounds, lines, start := 0, 0, time.Now()
	for ; time.Since(start) < 100*time.Millisecond; rounds++ {
		lines += countLines(msg)
	}
	scan := float64(time.Since(start)) / float64(rounds)
	b.ReportMetric(step/scan, "scans")
	if lines == 0 {
		b.Fatal("no lines")
	}
}

func BenchmarkIndexEncoding(b *testing.B) {
	index := mustParse(b, string(multipartMessage(3<<10)), Limits{})
	data := mustEncode(b, index)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := index.AppendBinary(make([]byte, 0, 600)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodePart(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
