package engine

func runChild() bool { return false }
