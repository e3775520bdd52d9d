test:
	swift test -c release -Xswiftc -enable-testing
