import LarderPlatform
import Testing

@Suite("Machine memory") struct MachineMemoryTests {
    private func bytes(_ files: [String: String]) -> Int? { MachineMemory.bytes { files[$0] } }

    private static let machine = ["/proc/meminfo": "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n"]

    @Test func `without a control group it is the machine's`() {
        #expect(bytes(Self.machine) == 16_384_000 << 10)
        #expect(bytes([:]) == nil)
    }

    @Test func `what the process has of it is in its status`() {
        let status = "Name:\tlarder\nVmPeak:\t  900000 kB\nVmHWM:\t40000000 kB\nVmRSS:\t    2000 kB\n"
        let resident = MachineMemory.resident { $0 == "/proc/self/status" ? status : nil }
        #expect(resident.map { [$0.now, $0.most] } == [2_000 << 10, 40_000_000 << 10])
        #expect(MachineMemory.resident { _ in nil } == nil)
        #expect(MachineMemory.resident().map { $0.now > 1 << 20 } == true)
    }

    @Test func `the smallest limit of the group and those around it counts, in version 2`() {
        let files = Self.machine.merging([
            "/proc/self/cgroup": "0::/kube/pod/app\n", "/sys/fs/cgroup/kube/pod/app/memory.max": "max\n",
            "/sys/fs/cgroup/kube/pod/memory.max": "1073741824\n", "/sys/fs/cgroup/kube/memory.max": "2147483648\n",
        ]) { $1 }
        #expect(bytes(files) == 1 << 30)
    }

    @Test func `in a container the root is the container's own group`() {
        let files = Self.machine.merging(["/proc/self/cgroup": "0::/../outside\n", "/sys/fs/cgroup/memory.max": "536870912\n"]) { $1 }
        #expect(bytes(files) == 512 << 20)
    }

    @Test func `version 1 is read as well, and its number for none is none`() {
        var files = Self.machine.merging([
            "/proc/self/cgroup": "4:cpu,cpuacct:/x\n3:hugetlb,memory:/docker/abc\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
        ]) { $1 }
        #expect(bytes(files) == 256 << 20)
        files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
        #expect(bytes(files) == 16_384_000 << 10)
    }

    @Test func `half of a limit on addresses counts`() {
        func limits(_ text: String) -> [String: String] {
            Self.machine.merging(["/proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \nMax address space         \(text)           unlimited            bytes     \n"]) { $1 }
        }
        #expect(bytes(limits("4000000000")) == 2_000_000_000)
        #expect(bytes(limits("unlimited")) == 16_384_000 << 10)
        #expect(MachineMemory.addresses { limits("4000000000")[$0] } == 4_000_000_000)
    }

    @Test func `this machine says something`() {
        #expect((MachineMemory.bytes() ?? 0) > 16 << 20)
    }

    @Test func `nonsense is no limit`() {
        let files = Self.machine.merging(["/proc/self/cgroup": "nonsense\n0::/\n", "/sys/fs/cgroup/memory.max": "-5\n"]) { $1 }
        #expect(bytes(files) == 16_384_000 << 10)
        #expect(bytes(["/proc/meminfo": "MemTotal: 99999999999999999999 kB\n"]) == nil)
    }
}
