package oauth

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// claims are what a token says of itself (RFC 7519 §4), or its issuer of it
// (RFC 7662 §2.2). Names are compared exactly; of one that stands there twice
// the last counts.
type claims map[string]json.RawMessage

// errNoObject is the error of parseClaims.
var errNoObject = errors.New("not a JSON object")

// parseClaims reads one JSON object.
func parseClaims(text []byte) (claims, error) {
	var c claims
	// The error of package json may hold what it could not read.
	if err := json.Unmarshal(text, &c); err != nil || c == nil {
		return nil, errNoObject
	}
	return c, nil
}

// has reports whether a claim is there and says anything.
func (c claims) has(name string) bool {
	value, ok := c[name]
	return ok && string(value) != "null"
}

// text returns a claim that is a string; empty when it is none.
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// list returns a claim that is a string or a list of them, as aud is; nothing
// when it is anything else.
func (c claims) list(name string) []string {
	var all []string
	if json.Unmarshal(c[name], &all) == nil {
		return all
	}
	if s := c.text(name); s != "" {
		return []string{s}
	}
	return nil
}

// words returns the words of a claim that has them in one string (RFC 8693
// §4.2), or as a list.
func (c claims) words(name string) []string {
	var all []string
	for _, s := range c.list(name) {
		all = append(all, strings.Fields(s)...)
	}
	return all
}

// yes reports whether a claim is true. Some issuers write it as a string.
func (c claims) yes(name string) bool {
	return string(c[name]) == "true" || c.text(name) == "true"
}

// latest is the last time that a claim can tell, in seconds: what is later
// was counted in milliseconds.
const latest = 1e11

// time returns a claim that is a NumericDate (RFC 7519 §2), to the second.
func (c claims) time(name string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(string(c[name]), 64)
	if err != nil || !(seconds >= 0 && seconds <= latest) {
		return time.Time{}, bad("a time is malformed: " + name)
	}
	return time.Unix(int64(seconds), 0), nil
}
