// Package power finds optional interfaces through wrappers, as
// http.ResponseController does: a wrapper that has Unwrap() loses none of
// the powers of what it wraps.
package power

// Of returns the first value in v's chain of Unwrap methods that implements T,
// where T is the optional interface and I the interface that is wrapped.
func Of[T, I any](v I) (T, bool) {
	for {
		if t, ok := any(v).(T); ok {
			return t, true
		}
		u, ok := any(v).(interface{ Unwrap() I })
		if !ok {
			var none T
			return none, false
		}
		v = u.Unwrap()
	}
}
