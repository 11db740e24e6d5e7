/**
 * The app: the camera's picture, the people in it, and a button for the other camera.
 *
 * python -m hrnet_tf.export --android puts the models into it.
 */
package com.example.hrnet.app

import android.Manifest
import android.hardware.display.DisplayManager
import android.os.Bundle
import android.view.Gravity
import android.view.View
import android.view.WindowManager
import android.widget.Button
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.ActivityResultCallback
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.view.PreviewView
import com.example.hrnet.R
import java.util.concurrent.Executors

class MainActivity : ComponentActivity() {
    private val executor = Executors.newSingleThreadExecutor()
    private lateinit var analyzer: PeopleAnalyzer
    private lateinit var camera: Camera
    private lateinit var preview: PreviewView
    private lateinit var overlay: OverlayView
    private lateinit var message: TextView
    private lateinit var other: Button
    private var isStarted = false

    private val permission = registerForActivityResult(
        ActivityResultContracts.RequestPermission(),
        ActivityResultCallback<Boolean> { isAllowed ->
            if (isAllowed) start() else say(getString(R.string.no_camera_allowed))
        }
    )

    // A screen that is turned makes no new activity.
    private val turned = object : DisplayManager.DisplayListener {
        override fun onDisplayAdded(displayId: Int) = Unit

        override fun onDisplayRemoved(displayId: Int) = Unit

        override fun onDisplayChanged(displayId: Int) {
            preview.display?.let { camera.turn(it.rotation) }
        }
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        setContentView(views())
        analyzer = PeopleAnalyzer(
            assets,
            { scene -> runOnUiThread { overlay.show(scene) } },
            { reason -> runOnUiThread { say(reason) } }
        )
        camera = Camera(this, preview, executor, analyzer::analyze)
        displays().registerDisplayListener(turned, null)
        permission.launch(Manifest.permission.CAMERA)
    }

    /** Asks again: the user may come from the settings, where the camera was allowed. */
    override fun onRestart() {
        super.onRestart()
        if (!isStarted) permission.launch(Manifest.permission.CAMERA)
    }

    override fun onDestroy() {
        displays().unregisterDisplayListener(turned)
        executor.execute { analyzer.close() }
        executor.shutdown()
        super.onDestroy()
    }

    private fun start() {
        isStarted = true
        say("")
        camera.start { isThere ->
            if (!isThere) say(getString(R.string.no_camera))
            other.visibility = if (camera.canSwitch) View.VISIBLE else View.GONE
        }
    }

    private fun say(words: String) {
        overlay.show(null)
        message.text = words
    }

    private fun displays() = getSystemService(DisplayManager::class.java)

    private fun views(): View {
        preview = PreviewView(this)
        preview.scaleType = PreviewView.ScaleType.FIT_CENTER
        overlay = OverlayView(this)
        message = TextView(this)
        message.gravity = Gravity.CENTER
        other = Button(this)
        other.text = getString(R.string.switch_camera)
        other.visibility = View.GONE
        other.setOnClickListener {
            overlay.show(null)
            camera.switch()
        }
        val all = FrameLayout(this)
        for (view in listOf(preview, overlay, message)) all.addView(view)
        val wrap = FrameLayout.LayoutParams.WRAP_CONTENT
        val below = Gravity.BOTTOM or Gravity.CENTER_HORIZONTAL
        all.addView(other, FrameLayout.LayoutParams(wrap, wrap, below))
        // Between the bars of the system.
        all.fitsSystemWindows = true
        return all
    }
}
