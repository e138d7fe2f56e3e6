package front

import (
	"fmt"
	"slices"
	"strings"
)

// EachAttribute calls take for each attribute of XCLIENT, "NAME=value" with
// spaces between them, its name in upper case. It wants at least one and at
// most 20, none of them twice. ErrMalformed, or what take returns.
func EachAttribute(args string, take func(name, value string) error) error {
	var seen []string
	for field := range strings.FieldsFuncSeq(args, func(r rune) bool { return r == ' ' }) {
		name, value, ok := strings.Cut(field, "=")
		name = strings.ToUpper(name)
		if !ok || value == "" || !isAttribute(name) || len(seen) == maxAttributes || slices.Contains(seen, name) {
			return fmt.Errorf("%w: attributes", ErrMalformed)
		}
		seen = append(seen, name)
		if err := take(name, value); err != nil {
			return err
		}
	}
	if len(seen) == 0 {
		return fmt.Errorf("%w: no attributes", ErrMalformed)
	}
	return nil
}

// isAttribute reports whether s is letters and hyphens.
func isAttribute(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' {
			return false
		}
	}
	return s != ""
}
