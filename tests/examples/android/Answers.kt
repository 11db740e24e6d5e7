/**
 * Answers in Kotlin what test_android.py asks: the app's arithmetic, without Android.
 *
 * Reads a JSON list of cases from a file, and writes one of answers to another.
 */
import com.example.hrnet.image.Crop
import com.example.hrnet.image.Fit
import com.example.hrnet.image.Frame
import com.example.hrnet.image.Viewport
import com.example.hrnet.models.Description
import com.example.hrnet.models.DetectorModel
import com.example.hrnet.models.ModelException
import com.example.hrnet.models.Network
import com.example.hrnet.models.PoseModel
import com.example.hrnet.models.Tensor
import com.example.hrnet.models.indices
import com.example.hrnet.models.readDescription
import com.example.hrnet.people.Box
import com.example.hrnet.people.Follower
import com.example.hrnet.people.Keypoints
import com.example.hrnet.people.OneEuroFilter
import com.example.hrnet.people.Person
import com.example.hrnet.people.PersonDetector
import com.example.hrnet.people.PoseFinder
import com.example.hrnet.people.ScoredBox
import com.example.hrnet.people.Smoothing
import com.example.hrnet.people.Tracker
import com.example.hrnet.people.bestPairs
import com.example.hrnet.people.boxAround
import com.example.hrnet.people.isThere
import java.io.File
import java.nio.ByteBuffer
import java.util.Base64
import org.json.JSONArray
import org.json.JSONObject

fun main(arguments: Array<String>) {
    val cases = JSONArray(File(arguments[0]).readText())
    val answers = cases.indices.map {
        try {
            answer(cases.getJSONObject(it))
        } catch (error: ModelException) {
            JSONObject().put("refused", error.message)
        }
    }
    File(arguments[1]).writeText(JSONArray(answers).toString())
}

fun answer(case: JSONObject): Any = when (case.getString("do")) {
    "crop" -> crop(case)
    "fit" -> fit(case)
    "view" -> view(case)
    "pairs" -> {
        val table = case.getJSONArray("similarities")
        val rows = table.indices.map { numbers(table.getJSONArray(it)) }
        JSONArray(bestPairs(rows.toTypedArray(), case.getDouble("least")).toList())
    }
    "filter" -> filter(case)
    "around" -> {
        val keypoints = keypoints(case.getJSONArray("keypoints"))
        val least = case.getDouble("least_side")
        array(boxAround(keypoints, box(case.getJSONArray("box")), 0.2, least))
    }
    "there" -> isThere(
        keypoints(case.getJSONArray("keypoints")), box(case.getJSONArray("box")),
        case.getInt("width"), case.getInt("height"), 0.2, 0.3
    )
    "follow" -> follow(case)
    "describe" -> describe(description(case.getString("file")))
    "pose" -> pose(case)
    "detect" -> detect(case)
    else -> throw IllegalArgumentException(case.toString())
}

// ---- what stands in JSON ----

fun numbers(array: JSONArray) = DoubleArray(array.length()) { array.getDouble(it) }

fun box(array: JSONArray) = numbers(array).let { Box(it[0], it[1], it[2], it[3]) }

fun array(box: Box) = JSONArray(listOf(box.x, box.y, box.width, box.height))

fun scoredBoxes(array: JSONArray) = array.indices.map {
    val one = array.getJSONArray(it)
    ScoredBox(box(one), one.getDouble(4))
}

fun keypoints(array: JSONArray): Keypoints {
    val rows = array.indices.map { numbers(array.getJSONArray(it)) }
    val column = { place: Int -> DoubleArray(rows.size) { rows[it][place] } }
    return Keypoints(column(0), column(1), column(2))
}

fun array(keypoints: Keypoints) = JSONArray(
    (0 until keypoints.size).map {
        JSONArray(listOf(keypoints.x[it], keypoints.y[it], keypoints.score[it]))
    }
)

fun array(person: Person) = JSONObject()
    .put("box", array(person.box)).put("keypoints", array(person.keypoints))
    .put("score", person.score).put("number", person.number)

fun text(bytes: ByteArray): String = Base64.getEncoder().encodeToString(bytes)

fun frame(json: JSONObject) = Frame(
    Base64.getDecoder().decode(json.getString("pixels")),
    json.getInt("width"), json.getInt("height"), json.getInt("row_bytes"),
    json.getInt("degrees"), 0.0
)

// ---- pictures ----

fun crop(case: JSONObject): JSONObject {
    val width = case.getInt("width")
    val height = case.getInt("height")
    val crop = Crop.around(
        box(case.getJSONArray("box")), width, height, case.getDouble("padding"),
        case.getBoolean("udp")
    )
    val into = ByteArray(width * height * 3)
    crop.cut(frame(case.getJSONObject("frame")), into)
    val points = case.getJSONArray("points")
    val mapped = points.indices.map {
        val point = numbers(points.getJSONArray(it))
        JSONArray(listOf(crop.toImageX(point[0]), crop.toImageY(point[1])))
    }
    return JSONObject().put("crop", text(into)).put("points", JSONArray(mapped))
}

fun fit(case: JSONObject): JSONObject {
    val width = case.getInt("width")
    val height = case.getInt("height")
    val color = numbers(case.getJSONArray("padding")).map { it.toInt() }.toIntArray()
    val fit = Fit(frame(case.getJSONObject("frame")), width, height, color)
    val into = ByteArray(width * height * 3)
    fit.draw(into)
    val boxes = case.getJSONArray("boxes")
    val mapped = boxes.indices.map { array(fit.toImage(box(boxes.getJSONArray(it)))) }
    return JSONObject().put("canvas", text(into)).put("boxes", JSONArray(mapped))
}

fun view(case: JSONObject): JSONArray {
    val port = Viewport(
        case.getInt("image_width"), case.getInt("image_height"),
        case.getInt("view_width"), case.getInt("view_height"), case.getBoolean("mirrored")
    )
    val point = numbers(case.getJSONArray("point"))
    return JSONArray(listOf(port.x(point[0]), port.y(point[1])))
}

// ---- people ----

fun filter(case: JSONObject): JSONArray {
    val frames = case.getJSONArray("frames")
    val first = frames.getJSONObject(0).getJSONArray("keypoints")
    val filter = OneEuroFilter(first.length(), Smoothing())
    return JSONArray(
        frames.indices.map {
            val frame = frames.getJSONObject(it)
            val given = keypoints(frame.getJSONArray("keypoints"))
            array(filter.update(given, frame.getDouble("seconds"), frame.getDouble("size")))
        }
    )
}

/** Follows people whom a pose model finds as it was recorded, and says what it was asked. */
fun follow(case: JSONObject): JSONObject {
    val frames = case.getJSONArray("frames")
    var now = JSONObject()
    val asked = mutableListOf<JSONArray>()
    val poses = object : PoseFinder {
        override fun find(frame: Frame, boxes: List<ScoredBox>): List<Person> {
            val call = now.getJSONArray("calls").getJSONArray(asked.size)
            asked.add(JSONArray(boxes.map { array(it.box) }))
            return boxes.mapIndexed { place, given ->
                val found = call.getJSONObject(place)
                val keypoints = keypoints(found.getJSONArray("keypoints"))
                Person(given.box, given.score, keypoints, found.getDouble("score"))
            }
        }
    }
    val detector = object : PersonDetector {
        override fun find(frame: Frame) = scoredBoxes(now.getJSONArray("detected"))
    }
    val tracker = Tracker(numbers(case.getJSONArray("sigmas")))
    val hasDetector = case.getBoolean("has_detector")
    val every = case.getInt("detect_every")
    val follower = Follower(poses, if (hasDetector) detector else null, tracker, every)
    val width = case.getInt("width")
    val height = case.getInt("height")
    val told = frames.indices.map {
        now = frames.getJSONObject(it)
        asked.clear()
        val frame = Frame(ByteArray(0), width, height, 0, 0, now.getDouble("seconds"))
        val people = follower.look(frame).map { one -> array(one) }
        JSONObject().put("people", JSONArray(people)).put("asked", JSONArray(asked.toList()))
    }
    return JSONObject()
        .put("frames", JSONArray(told)).put("detector_calls", follower.detectorCalls)
}

// ---- models ----

fun description(path: String): Description {
    val content = ByteBuffer.wrap(File(path).readBytes())
    return Description(readDescription(content, "model"), "model")
}

fun describe(description: Description): JSONObject {
    val sides = listOf("inputs" to description.inputs, "outputs" to description.outputs)
    val told = JSONObject()
    for ((side, tensors) in sides) {
        val shapes = JSONObject()
        for (tensor: Tensor in tensors.values) {
            shapes.put(tensor.name, JSONArray(listOf<Any>(tensor.type) + tensor.shape))
        }
        told.put(side, shapes)
    }
    return told.put("suits_gpu", description.suitsGpu)
}

/** Answers with outputs that were recorded, and keeps what it was given. */
class Recorded(private val runs: JSONArray) : Network {
    override val processor = "recording"
    val given = mutableListOf<String>()
    private val now get() = runs.getJSONObject(given.size - 1)

    override fun run(image: ByteArray) {
        given.add(text(image))
    }

    override fun floats(name: String): FloatArray {
        val values = numbers(now.getJSONArray(name))
        return FloatArray(values.size) { values[it].toFloat() }
    }

    override fun ints(name: String) = floats(name).map { it.toInt() }.toIntArray()

    override fun close() = Unit
}

fun pose(case: JSONObject): JSONObject {
    val network = Recorded(case.getJSONArray("runs"))
    val model = PoseModel(description(case.getString("file")), network)
    val people = model.find(
        frame(case.getJSONObject("frame")), scoredBoxes(case.getJSONArray("boxes"))
    )
    val limbs = model.skeleton.limbs.map { JSONArray(listOf(it.from, it.to, it.color)) }
    return JSONObject().put("people", JSONArray(people.map { array(it) }))
        .put("given", JSONArray(network.given.toList())).put("limbs", JSONArray(limbs))
}

fun detect(case: JSONObject): JSONObject {
    val network = Recorded(case.getJSONArray("runs"))
    val model = DetectorModel(description(case.getString("file")), network)
    val found = model.find(frame(case.getJSONObject("frame")))
    return JSONObject()
        .put("boxes", JSONArray(found.map { array(it.box) }))
        .put("scores", JSONArray(found.map { it.score }))
        .put("given", JSONArray(network.given.toList()))
}
