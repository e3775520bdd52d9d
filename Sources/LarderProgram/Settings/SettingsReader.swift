// From three places to one configuration: the command line wins over the environment, the environment over the file.
//
// Every value is checked, also one that another place overrides: a mistake that hides today shows up on a bad day.

import LarderPlatform
import LarderServer

/// The texts of settings from one place, or merged from several.
package struct SettingLayer: Equatable {
    package struct Given: Equatable {
        package let name: String
        let texts: [String]
        let source: SettingSource
    }

    package var given: [Given] = []
    /// What is wrong beyond the values themselves.
    var problems: [SettingProblem] = []

    mutating func add(_ name: String, _ texts: [String], _ source: SettingSource) {
        if Setting.named(name) == nil {
            problems.append(.unknown(name: name, source: source, nearest: NearestName.of(name, in: Setting.table.map(\.name))))
        } else {
            given.append(Given(name: name, texts: texts, source: source))
        }
    }
}

/// What the command line says: the texts of each option that was used, by the setting's name.
package typealias GivenOptions = [(name: String, texts: [String])]

package enum SettingsReader {
    static let fileVariable = "LARDER_CONFIG"

    /// The configuration that all places together describe.
    ///
    /// - Parameters:
    ///   - file: The settings file that the command line names, if it names one; else `LARDER_CONFIG` may.
    ///   - environment: The whole environment of the process.
    package static func read(
        options: GivenOptions, file: String?, environment: [String: String]
    ) throws(SettingsError) -> ServerConfiguration {
        var layers: [SettingLayer] = []
        var problems: [SettingProblem] = []
        if let path = file ?? environment[fileVariable].flatMap({ $0.isEmpty ? nil : $0 }) {
            do throws(SettingProblem) { layers.append(try SettingsFile.read(path)) } catch { problems.append(error) }
        }
        layers.append(variables(environment))
        layers.append(commandLine(options))

        let (settings, sources, refused) = merge(layers)
        problems += layers.flatMap(\.problems) + refused
        var server = settings.server
        do throws(SettingProblem) {
            server.apiKey = try APIKeyReader.read(
                file: settings.apiKeyFile, fileSource: sources["api-key-file"], environment: environment)
        } catch {
            problems.append(error)
        }
        // Values that were refused stand at their defaults, so only a sound set is judged as a whole.
        if problems.isEmpty { problems += mismatches(server) }
        guard problems.isEmpty else { throw SettingsError(problems) }
        return server
    }

    /// What the layers say together, later ones over earlier ones, and where each value came from.
    static func merge(
        _ layers: [SettingLayer]
    ) -> (settings: ServeSettings, sources: [String: SettingSource], refused: [SettingProblem]) {
        var settings = ServeSettings()
        var sources: [String: SettingSource] = [:]
        var refused: [SettingProblem] = []
        for given in layers.flatMap(\.given).sorted(by: { $0.source.rank < $1.source.rank }) {
            guard let setting = Setting.named(given.name) else { continue }
            do throws(SettingRefusal) {
                try setting.form.read(given.texts, &settings)
                sources[given.name] = given.source
            } catch {
                refused.append(.refused(name: given.name, values: given.texts, refusal: error, source: given.source))
            }
        }
        return (settings, sources, refused)
    }

    // MARK: The environment

    /// Variables that begin like settings and are none.
    private static let otherVariables: Set = [fileVariable, APIKeyReader.variable, "LARDER_SERVER"]

    static func variables(_ environment: [String: String]) -> SettingLayer {
        var layer = SettingLayer()
        let names = Dictionary(uniqueKeysWithValues: Setting.table.map { ($0.variable, $0) })
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) {
            guard variable.hasPrefix(Setting.variablePrefix), !otherVariables.contains(variable), !isServiceLink(variable) else {
                continue
            }
            guard let setting = names[variable] else {
                let nearest = NearestName.of(variable, in: Array(names.keys)).flatMap { names[$0]?.name }
                layer.problems.append(.unknown(name: variable, source: .environment, nearest: nearest))
                continue
            }
            // A variable that is set to nothing counts as not set, as in most programs.
            guard !text.isEmpty else { continue }
            let texts = setting.form.isList ? text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) : [text]
            layer.add(setting.name, texts, .environment)
        }
        return layer
    }

    /// Kubernetes puts LARDER_PORT, LARDER_PORT_7400_TCP, LARDER_SERVICE_HOST and more into every pod beside a service
    /// that is called larder. They are nobody's mistake.
    private static func isServiceLink(_ variable: String) -> Bool {
        variable == "LARDER_PORT" || variable.hasPrefix("LARDER_PORT_") || variable.hasPrefix("LARDER_SERVICE_")
    }

    // MARK: The command line

    private static func commandLine(_ options: GivenOptions) -> SettingLayer {
        var layer = SettingLayer()
        for option in options where !option.texts.isEmpty { layer.add(option.name, option.texts, .commandLine) }
        return layer
    }

    // MARK: The whole

    /// What does not go together.
    static func mismatches(_ server: ServerConfiguration) -> [SettingProblem] {
        var problems: [SettingProblem] = []
        if let refusal = AccessControl.refusal(of: server) { problems.append(.mismatch(refusal)) }
        if server.outputBytesMax < 2 * server.valueBytesMax {
            problems.append(
                .mismatch(
                    "output-bytes-max: \(SizeText.text(bytes: server.outputBytesMax)) cannot hold two values of "
                        + "value-bytes-max, \(SizeText.text(bytes: server.valueBytesMax)) each"))
        }
        if server.outputBytesMax < server.outputBytesSoft {
            problems.append(
                .mismatch(
                    "output-bytes-max: \(SizeText.text(bytes: server.outputBytesMax)) is less than output-bytes-soft, "
                        + SizeText.text(bytes: server.outputBytesSoft)))
        }
        return problems
    }
}

/// The name that a mistyped one was meant to be.
enum NearestName {
    /// The one of `names` that differs from `name` in at most two letters, if there is one.
    static func of(_ name: String, in names: [String]) -> String? {
        let best = names.map { (name: $0, distance: distance(Array(name.utf8), Array($0.utf8))) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        return best.flatMap { $0.distance <= 2 ? $0.name : nil }
    }

    /// How many letters have to be put in, taken out or replaced (Levenshtein).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (leftIndex, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = leftIndex + 1
            for (rightIndex, other) in right.enumerated() {
                let replaced = diagonal + (letter == other ? 0 : 1)
                diagonal = row[rightIndex + 1]
                row[rightIndex + 1] = min(replaced, diagonal + 1, row[rightIndex] + 1)
            }
        }
        return row[right.count]
    }
}
