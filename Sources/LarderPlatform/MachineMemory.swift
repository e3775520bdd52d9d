// How much memory the machine has for this process: its own, what the control group grants, or what its limit on addresses leaves,
// whichever is least.
//
// Says nothing of how much is free at the moment: what others use now they may give back, and the other way round.

/// The memory that the process may count on.
package enum MachineMemory {
    private static let groups = "/sys/fs/cgroup"
    private static let fileBytesMax = 64 << 10

    /// In bytes; nil when the system does not say.
    ///
    /// - Parameter read: The text of the file at a path, or nil when it cannot be read.
    package static func bytes(reading read: (String) -> String? = text) -> Int? {
        // The stacks of threads and what the allocator reserves take addresses, but hardly any memory.
        ([total(read("/proc/meminfo")), addresses(reading: read).map { $0 / 2 }] + granted(read)).compactMap(\.self).min()
    }

    /// The limit on the addresses of this process (`ulimit -v`), in bytes; nil when there is none.
    package static func addresses(reading read: (String) -> String? = text) -> Int? {
        let name = "Max address space"
        let line = read("/proc/self/limits")?.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
    }

    /// How much of it this process has, and the most that it had; in bytes.
    package static func resident(reading read: (String) -> String? = text) -> (now: Int, most: Int)? {
        let status = read("/proc/self/status")
        guard let now = amount("VmRSS:", in: status), let most = amount("VmHWM:", in: status) else { return nil }
        return (now, most)
    }

    private static func total(_ text: String?) -> Int? { amount("MemTotal:", in: text) }

    /// `MemTotal:       16384256 kB`
    private static func amount(_ name: String, in text: String?) -> Int? {
        guard let line = text?.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let kibibytes = line.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap({ Int($0) }), kibibytes < 1 << 50
        else { return nil }
        return kibibytes << 10
    }

    /// The limits of the process's group and of all groups around it. A container often sees its own group as the root, under
    /// whatever name it has outside, so the root is asked in any case.
    private static func granted(_ read: (String) -> String?) -> [Int?] {
        var limits: [Int?] = []
        for line in (read("/proc/self/cgroup") ?? "0::/").split(separator: "\n") {
            // Number, controllers, path; version 2 has neither number nor controllers.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[1].isEmpty {
                limits += around(parts[2]).map { number(read(groups + $0 + "/memory.max")) }
            } else if parts[1].split(separator: ",").contains("memory") {
                limits += around(parts[2]).map { number(read(groups + "/memory" + $0 + "/memory.limit_in_bytes")) }
            }
        }
        return limits
    }

    /// For `/a/b`: `/a/b`, `/a`, and nothing.
    private static func around(_ path: Substring) -> [String] {
        let names = path.split(separator: "/")
        return (0...names.count).reversed().map { count in names.prefix(count).map { "/" + $0 }.joined() }
    }

    /// nil for `max`. Version 1 says "none" by a number that no machine has.
    private static func number(_ text: String?) -> Int? {
        text?.split(separator: "\n").first.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// The text of a small file.
    package static func text(_ path: String) -> String? {
        (try? SmallFile(path: path, bytesMax: fileBytesMax)).map { String(decoding: $0.bytes, as: UTF8.self) }
    }
}
