// What a setting's text looks like, how it becomes a value, and how the value is shown again.

import LarderPlatform
import LarderServer

/// What `larder serve` is told, before secrets are read.
package struct ServeSettings: Sendable, Equatable {
    package var server = ServerConfiguration()
    /// Where the API key stands; empty: nowhere. Only the path is a setting, so that the key itself never is an argument.
    package var apiKeyFile = ""

    package init() {}
}

/// Why a text is no value of a setting.
package enum SettingRefusal: Error, Equatable, Sendable {
    /// It is not written like one: "a size", "one of the words".
    case form(String)
    /// It is written like one and lies outside the range.
    case range
    /// One of several texts is not written like one.
    case element(String, String)
    /// More texts than the setting takes, or none.
    case count(Int)
}

/// One way to write values: placeholder, range, reading and showing.
package struct SettingForm: Sendable {
    typealias Path<Value> = WritableKeyPath<ServeSettings, Value> & Sendable

    /// Stands for the value in help: `HOST:PORT`, `SIZE`.
    package let placeholder: String
    /// Every value that is accepted, in words.
    package let allowed: String
    /// Whether the setting takes several texts.
    package let isList: Bool
    /// Puts the value of the texts in place. Nothing has changed when it throws.
    package let read: @Sendable ([String], inout ServeSettings) throws(SettingRefusal) -> Void
    /// The value as text that `read` accepts.
    package let show: @Sendable (ServeSettings) -> [String]

    /// A form of one text.
    private static func single<Value>(
        _ path: any Path<Value>, placeholder: String, allowed: String,
        show: @escaping @Sendable (Value) -> String,
        parse: @escaping @Sendable (String) throws(SettingRefusal) -> Value
    ) -> SettingForm {
        SettingForm(placeholder: placeholder, allowed: allowed, isList: false) { texts, settings throws(SettingRefusal) in
            guard texts.count == 1 else { throw .count(texts.count) }
            settings[keyPath: path] = try parse(texts[0])
        } show: { [show($0[keyPath: path])] }
    }

    /// A whole number within `range`; `zero` says what 0 means where 0 is a value of its own.
    private static func number(
        _ path: any Path<Int>, in range: ClosedRange<Int>, zero: String?, placeholder: String, noun: String,
        show: @escaping @Sendable (Int) -> String, parse: @escaping @Sendable (String) -> Int?
    ) -> SettingForm {
        var allowed = "\(show(range.lowerBound)) to \(show(range.upperBound))"
        if let zero { allowed += ", or 0 (\(zero))" }
        return single(path, placeholder: placeholder, allowed: allowed) { value in
            value == 0 && zero != nil ? "0" : show(value)
        } parse: { text throws(SettingRefusal) in
            guard let value = parse(text) else { throw .form(noun) }
            guard range.contains(value) || (value == 0 && zero != nil) else { throw .range }
            return value
        }
    }

    static func count(_ path: any Path<Int>, in range: ClosedRange<Int>, zero: String? = nil) -> SettingForm {
        number(path, in: range, zero: zero, placeholder: "N", noun: "a whole number", show: { "\($0)" }, parse: { Int($0) })
    }

    static func bytes(_ path: any Path<Int>, in range: ClosedRange<Int>, zero: String? = nil) -> SettingForm {
        number(
            path, in: range, zero: zero, placeholder: "SIZE", noun: "a size such as 64MiB, 25MB or 1048576",
            show: SizeText.text(bytes:), parse: { SizeText.bytes($0) })
    }

    /// A duration kept in whole seconds.
    static func seconds(_ path: any Path<Int>, in range: ClosedRange<Int>, zero: String? = nil) -> SettingForm {
        number(
            path, in: range, zero: zero, placeholder: "TIME", noun: "a time of whole seconds such as 30s, 15m or 1h30m",
            show: { DurationText.text(milliseconds: Int64($0) * 1_000) },
            parse: { text in
                guard let nanoseconds = DurationText.nanoseconds(text) else { return nil }
                let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
                return rest == 0 ? Int(seconds) : nil
            })
    }

    /// A duration kept in whole milliseconds.
    static func milliseconds(_ path: any Path<Milliseconds>, in range: ClosedRange<Milliseconds>) -> SettingForm {
        let show: @Sendable (Milliseconds) -> String = { DurationText.text(milliseconds: $0) }
        return single(
            path, placeholder: "TIME", allowed: "\(show(range.lowerBound)) to \(show(range.upperBound))", show: show
        ) { text throws(SettingRefusal) in
            guard let nanoseconds = DurationText.nanoseconds(text), nanoseconds % 1_000_000 == 0 else {
                throw .form("a time of whole milliseconds such as 100ms or 1s")
            }
            guard range.contains(nanoseconds / 1_000_000) else { throw .range }
            return nanoseconds / 1_000_000
        }
    }

    /// One of a few words.
    static func choice<Value: Equatable & Sendable>(
        _ path: any Path<Value>, _ words: [(word: String, value: Value)]
    ) -> SettingForm {
        let allowed = words.map(\.word)
        return single(path, placeholder: allowed.joined(separator: "|"), allowed: allowed.joined(separator: ", ")) { value in
            words.first { $0.value == value }?.word ?? ""
        } parse: { text throws(SettingRefusal) in
            guard let match = words.first(where: { $0.word == text }) else { throw .form("one of the words") }
            return match.value
        }
    }

    static func flag(_ path: any Path<Bool>) -> SettingForm {
        choice(path, [("true", true), ("false", false)])
    }

    /// The name of a file or directory; `empty` says what no name means where that is a value of its own.
    static func path(_ path: any Path<String>, placeholder: String, empty: String? = nil) -> SettingForm {
        single(path, placeholder: placeholder, allowed: "a path" + (empty.map { ", or nothing (\($0))" } ?? "")) { $0 }
        parse: { text throws(SettingRefusal) in
            guard !text.isEmpty || empty != nil, !text.utf8.contains(0) else { throw .form("a path") }
            return text
        }
    }

    static func namespaceName(_ path: any Path<String>) -> SettingForm {
        single(path, placeholder: "NAME", allowed: "1 to 255 of a-z, 0-9 and -") { $0 } parse: { text throws(SettingRefusal) in
            guard (1...255).contains(text.utf8.count),
                text.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D })
            else { throw .form("the name of a namespace") }
            return text
        }
    }

    static func addresses(_ path: any Path<[ListenAddress]>) -> SettingForm {
        SettingForm(
            placeholder: "HOST:PORT",
            allowed: "IPV4:PORT, [IPV6]:PORT or localhost:PORT, each also behind resp://, memcached://, http:// or binary://; "
                + "at most \(addressesMax) of them",
            isList: true
        ) { texts, settings throws(SettingRefusal) in
            guard !texts.isEmpty, texts.count <= addressesMax else { throw .count(texts.count) }
            var addresses: [ListenAddress] = []
            for text in texts {
                guard let address = ListenAddress(text) else { throw .element(text, "a numeric address and a port") }
                addresses.append(address)
            }
            settings[keyPath: path] = addresses
        } show: { $0[keyPath: path].map(\.description) }
    }

    private static let addressesMax = 16

    /// Names of namespaces, each once; none is a value of its own.
    static func namespaces(_ path: any Path<[String]>) -> SettingForm {
        SettingForm(
            placeholder: "NAME", allowed: "names of namespaces, each once, at most \(namespacesMax) of them", isList: true
        ) { texts, settings throws(SettingRefusal) in
            guard texts.count <= namespacesMax else { throw .count(texts.count) }
            for (index, text) in texts.enumerated() {
                let isFirst = texts.firstIndex(of: text) == index
                guard isFirst, ServerConfiguration.isDatabaseName(text) else { throw .element(text, "the name of another namespace") }
            }
            settings[keyPath: path] = texts
        } show: { $0[keyPath: path] }
    }

    private static let namespacesMax = 1_024
}
